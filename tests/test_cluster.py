"""Clusters: what is refused, what is shipped, and that nodes may die and join without a trace in the results."""

import os
import shutil
import subprocess
import sys
import sysconfig
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ray_nodes import free_port, ray_cluster, runs_a_cell
from small_runs import counted_events, small_study, trajectory

from automl_cf.errors import AutomlCfError, InputError
from automl_cf.events import Event
from automl_cf.suite import run
from automl_cf.suite.ray_backend import RayBackend
from automl_cf.suite.shipping import Software, code_fingerprint, look, stage
from automl_cf.suite.study import Resources, make_study, read_study

ROOT = Path(__file__).resolve().parent.parent
SEARCHERS = ["bias-only", "random", "bayes"]


def resources(**values: Any) -> Resources:
    return small_study(resources={"backend": "ray", **values}).resources


# What a study may ask for


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"address": "ray://head:10001"}, "resources.address is 'ray://head:10001': by its client Ray would run"),
        ({"address": "head"}, "must be auto, or the head's host:port"),
        ({"address": "head:70000"}, "must be auto, or the head's host:port"),
        ({"gpus_per_cell": 1.5}, "resources.gpus_per_cell is 1.5: must be a fraction of one GPU"),
        ({"custom_per_cell": {"GPU": 1}}, "has a field of its own"),
        ({"custom_per_cell": {"bigmem": 0}}, "resources.custom_per_cell.bigmem is 0"),
        ({"memory_gb_per_cell": -1}, "resources.memory_gb_per_cell is -1"),
        ({"wait_for_nodes_s": float("inf")}, "resources.wait_for_nodes_s"),
    ],
)
def test_requests_that_make_no_sense_are_refused_by_the_study(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError) as refusal:
        small_study(resources=values)
    assert sentence in str(refusal.value)
    assert "\n" not in str(refusal.value)


NODE = st.fixed_dictionaries({"CPU": st.integers(0, 3), "GPU": st.integers(0, 2), "bigmem": st.integers(0, 1)})


@given(st.lists(NODE, max_size=4), st.integers(1, 3), st.sampled_from([0, 0.5, 1, 2]), st.booleans())
def test_a_cell_needs_one_node_that_has_it_all(
    nodes: list[dict[str, float]], cpus: int, gpus: float, big: bool
) -> None:
    from automl_cf.suite.cluster import unmet

    asked = resources(
        cpus_per_cell=cpus, gpus_per_cell=gpus, custom_per_cell={"bigmem": 1} if big else {}, address="auto"
    )
    fits = [n for n in nodes if n["CPU"] >= cpus and n["GPU"] >= gpus and n["bigmem"] >= big]
    problem = unmet(asked, nodes)
    assert (problem is None) == bool(fits)
    assert problem is None or problem.startswith("resources")


def test_the_sum_over_nodes_does_not_count() -> None:
    from automl_cf.suite.cluster import unmet

    nodes = [{"CPU": 2.0, "memory": 3 * 2**30}, {"CPU": 1.0, "memory": 8 * 2**30}]
    assert "cpus_per_cell is 3, but no node of the cluster has more than 2 CPUs" in str(
        unmet(resources(cpus_per_cell=3, address="auto"), nodes)
    )
    assert "memory_gb_per_cell is 9, but no node of the cluster has more than 8 GB" in str(
        unmet(resources(memory_gb_per_cell=9, address="auto"), nodes)
    )
    assert "at once" in str(unmet(resources(cpus_per_cell=2, memory_gb_per_cell=5, address="auto"), nodes))
    assert unmet(resources(cpus_per_cell=2, memory_gb_per_cell=3, address="auto"), nodes) is None


def test_an_address_where_nothing_listens_is_refused_at_once() -> None:
    address = f"127.0.0.1:{free_port()}"
    with pytest.raises(InputError, match=f"resources.address is '{address}', but nothing answers there"):
        RayBackend(resources(address=address), 1)


# The code


def test_what_is_shipped_is_the_package(tmp_path: Path) -> None:
    stager = "import sys, pathlib; from automl_cf.suite.shipping import stage; stage(pathlib.Path(sys.argv[1]))"
    # In the clone's folder, where an editable install may have left another record of the package
    subprocess.run([sys.executable, "-c", stager, str(tmp_path)], check=True, cwd=ROOT)
    code = (
        "import automl_cf, automl_cf.searchers.sif, automl_cf.benchmarks; from automl_cf.suite import shipping; "
        "print(automl_cf.__file__, automl_cf.__version__, shipping.code_fingerprint())"
    )
    file, version, fingerprint = _python(code, tmp_path).split()
    assert Path(file).is_relative_to(tmp_path)
    assert version == __import__("automl_cf").__version__
    assert fingerprint == code_fingerprint()
    for folder in ("searchers", "spaces"):
        names = {path.name for path in (ROOT / folder).glob("*.py")}
        assert names == {path.name for path in (tmp_path / "automl_cf" / folder).glob("*.py")}


def test_the_fingerprint_follows_every_file(tmp_path: Path) -> None:
    stage(tmp_path)
    code = "from automl_cf.suite.shipping import code_fingerprint; print(code_fingerprint())"
    seen = {_python(code, tmp_path)}
    changed = tmp_path / "automl_cf" / "searchers" / "sif.py"
    changed.write_text(changed.read_text() + "\n")
    seen.add(_python(code, tmp_path))
    changed.rename(changed.with_name("other.py"))
    seen.add(_python(code, tmp_path))
    (tmp_path / "automl_cf" / "searchers" / "notes.txt").write_text("no code")
    seen.add(_python(code, tmp_path))
    assert len(seen) == 3


@pytest.mark.slow
def test_a_wheel_has_the_fingerprint_of_the_clone(tmp_path: Path) -> None:
    source = tmp_path / "source"
    for folder in ("automl_cf", "searchers", "spaces", "benchmarks"):
        shutil.copytree(ROOT / folder, source / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, source)
    stage(tmp_path / "staged")
    build = [sys.executable, "setup.py", "-q", "build", "--build-lib", str(tmp_path / "built")]
    subprocess.run(build, cwd=source, check=True, capture_output=True)
    built, staged = (
        {path.relative_to(tmp_path / name): path.read_bytes() for path in (tmp_path / name / "automl_cf").rglob("*.py")}
        for name in ("built", "staged")
    )
    assert built.keys() == staged.keys()
    assert built == staged


def test_a_worker_that_differs_is_named_with_its_host() -> None:
    here = Software.of_this_process()
    assert here.differs_here() is None
    found = look() | {"host": "node7"}
    assert "host 'node7' has another automl-cf than the driver" in str(here.differs(found | {"code": "0" * 64}))
    assert "host 'node7' has no automl-cf" in str(here.differs(found | {"code": None}))
    other = found["versions"] | {"torch": "1.0"}
    assert "host 'node7' has torch 1.0, but the driver torch" in str(here.differs(found | {"versions": other}))
    none = found["versions"] | {"numba": None}
    assert "host 'node7' has no numba, but the driver numba" in str(here.differs(found | {"versions": none}))


def _python(code: str, path: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        env={"PYTHONPATH": str(path), "PATH": ""},
        cwd=path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


# Nodes


def scores(folder: Path) -> dict[tuple[str, str], float]:
    return {(e["cell"], e["id"]): e["rmse"] for e in counted_events(folder) if e["kind"] == "score"}


def ends(folder: Path) -> list[str]:
    return sorted(e["cell"] for e in counted_events(folder) if e["kind"] == "cell_finished")


@pytest.mark.slow
def test_a_node_dies_and_another_joins_in_mid_study(tmp_path: Path) -> None:
    """SIGKILL of a node's raylet and workers: every cell completes once, as inline, and the new node takes part."""
    study = {"searchers": SEARCHERS, "seeds": [1, 2], "budget": {"trials": 12}}
    run.start(small_study(**study), tmp_path / "inline")
    with ray_cluster(2) as cluster:
        doomed = sorted(cluster.worker_nodes, key=lambda node: node.node_id)[0]
        joined: list[Any] = []
        took_part = []

        def disturb(event: Event) -> None:
            if not joined and event["kind"] == "trial" and runs_a_cell(doomed):
                cluster.remove_node(doomed, allow_graceful=False)
                joined.append(cluster.add_node(num_cpus=1))
            elif joined and not took_part and runs_a_cell(joined[0]):
                took_part.append(event["cell"])

        there = {"backend": "ray", "address": cluster.address, "workers": 3}
        run.start(small_study(**study, resources=there), tmp_path / "cluster", disturb)
    assert joined
    assert took_part
    assert trajectory(tmp_path / "cluster") == trajectory(tmp_path / "inline")
    assert scores(tmp_path / "cluster") == scores(tmp_path / "inline")
    assert ends(tmp_path / "cluster") == sorted(cell.id for cell in small_study(**study).cells())


@pytest.mark.slow
def test_nodes_with_other_code_are_refused_unless_the_package_is_shipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage(tmp_path / "other")
    with (tmp_path / "other" / "automl_cf" / "errors.py").open("a") as file:
        file.write("# another version\n")
    with monkeypatch.context() as patch:
        patch.setenv("PYTHONPATH", str(tmp_path / "other"))  # workers inherit it of their node
        with ray_cluster(0) as cluster:
            there = {"backend": "ray", "address": cluster.address}
            study = {"searchers": ["bias-only"]}  # what is shipped has no kernels compiled yet; this one needs none
            with pytest.raises(InputError, match="has another automl-cf than the driver"):
                run.start(small_study(**study, resources=there), tmp_path / "refused")
            run.start(small_study(**study, resources={**there, "ship": True}), tmp_path / "shipped")
    run.start(small_study(**study), tmp_path / "inline")
    assert scores(tmp_path / "shipped") == scores(tmp_path / "inline")


@pytest.mark.slow
def test_requests_on_a_cluster(tmp_path: Path) -> None:
    """What no node has is refused, after waiting for nodes if that is wanted; a cluster that goes away is explained."""
    study = {"searchers": ["random"], "seeds": [1], "budget": {"trials": 40}}
    with ray_cluster(0) as cluster:
        with pytest.raises(InputError, match=r"cpus_per_cell is 2, but no node of the cluster has more than 1 CPUs"):
            RayBackend(resources(address=cluster.address, cpus_per_cell=2), 1)
        asked = {"address": cluster.address, "custom_per_cell": {"bigmem": 1}}
        with pytest.raises(
            InputError, match=r"custom_per_cell.bigmem is 1, but no node of the cluster has more than 0"
        ):
            RayBackend(resources(**asked), 1)
        there = {"backend": "ray", **asked, "wait_for_nodes_s": 300.0}
        waiting = threading.Thread(target=lambda: RayBackend(resources(**there), 1).close())
        waiting.start()
        waiting.join(10.0)
        assert waiting.is_alive()
        cluster.add_node(num_cpus=1, resources={"bigmem": 1})
        waiting.join()

        def gone(event: Event) -> None:
            if event["kind"] == "trial" and event["number"] == 3:
                cluster.shutdown()

        with pytest.raises(AutomlCfError, match="automl-cf resume") as lost:
            run.start(small_study(**study, resources=there), tmp_path / "lost", gone)
        assert not isinstance(lost.value, InputError)
    stored = small_study(**study, resources={"backend": "ray", "workers": 1})
    (tmp_path / "lost" / "study.json").write_text(stored.model_dump_json())  # what --address does without
    run.resume(tmp_path / "lost")
    run.start(small_study(**study), tmp_path / "inline")
    assert trajectory(tmp_path / "lost") == trajectory(tmp_path / "inline")


@pytest.mark.slow
def test_the_example_runs_unchanged_on_a_laptop_and_on_a_cluster(tmp_path: Path) -> None:
    example = ROOT / "benchmarks" / "cluster-example.toml"
    study = read_study(example)
    assert make_study(study.model_dump()) == study
    command = [sys.executable, "-m", "automl_cf.cli", "run", str(example), "--out"]
    subprocess.run([*command, str(tmp_path / "laptop")], check=True, capture_output=True, cwd=tmp_path)
    with ray_cluster(1, resources={"search": 1}) as cluster:
        there = ["--address", cluster.address]
        subprocess.run([*command, str(tmp_path / "cluster"), *there], check=True, capture_output=True, cwd=tmp_path)
    assert trajectory(tmp_path / "laptop") == trajectory(tmp_path / "cluster")
    assert scores(tmp_path / "laptop") == scores(tmp_path / "cluster")


@pytest.mark.slow
def test_the_slurm_script_with_a_slurm_of_our_own(tmp_path: Path) -> None:
    """The script of docs/clusters.md, with an srun and an scontrol that know this machine alone, as two nodes."""
    from ray.util import get_node_ip_address

    programs = tmp_path / "bin"
    programs.mkdir()
    log = tmp_path / "srun.log"
    _program(programs / "scontrol", '[ "$1 $2" = "show hostnames" ] && echo "${3//,/$\'\\n\'}"')
    _program(
        programs / "srun",
        f'echo "$@" >> {log}\nwhile [[ $1 == --* ]]; do shift; done\n'
        f'[ "$1" = hostname ] && exec echo {get_node_ip_address()}\nexec "$@"',
    )
    study = tmp_path / "study.toml"
    study.write_text((ROOT / "benchmarks" / "cluster-example.toml").read_text().replace("{ search = 0.5 }", "{}"))
    environment = os.environ | {
        "PATH": os.pathsep.join([str(programs), sysconfig.get_path("scripts"), os.environ["PATH"]]),
        "SLURM_JOB_ID": str(next(port for port in iter(free_port, None) if 20000 <= port < 40000) - 20000),
        "SLURM_JOB_NODELIST": "one,two",
        "SLURM_CPUS_PER_TASK": "1",
        "AUTOML_CF_RAY_TMP": f"/tmp/acf-slurm-{os.getpid()}",
    }
    script = ["bash", str(ROOT / "docs" / "slurm.sbatch"), str(study), str(tmp_path / "run")]
    done = subprocess.run(script, env=environment, capture_output=True, text=True, cwd=tmp_path, timeout=900)
    shutil.rmtree(environment["AUTOML_CF_RAY_TMP"], ignore_errors=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert ends(tmp_path / "run") == sorted(cell.id for cell in read_study(study).cells())
    started = [line for line in log.read_text().splitlines() if "ray start" in line]
    assert [("--head " in line, "--nodelist=two" in line) for line in started] == [(True, False), (False, True)]


def _program(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/bash\n{script}\n")
    path.chmod(0o755)
