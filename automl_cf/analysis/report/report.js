// Draws the report's charts with Vega-Lite from the data in the page, and makes its controls and tables work.
// Names and messages reach the page only as text nodes, attributes' values and values of data.
(function () {
  "use strict";
  const { vegaEmbed } = window;
  const DATA = JSON.parse(document.getElementById("data").textContent);
  const MANY = 12; // lines: with more of them bands would hide the rest
  const STEPS = 60; // of the arrow keys across a chart
  // Charts know searchers by keys of ours: as names of groups in Vega, "__proto__" and the like would do harm.
  DATA.panels.forEach((panel) => panel.searchers.forEach((searcher, i) => (searcher.key = `s${i}`)));
  const COMPACT = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });

  // ---- small things

  function make(tag, text, className) {
    const element = document.createElement(tag);
    if (text !== undefined) element.textContent = text;
    if (className) element.className = className;
    return element;
  }

  function format(value, form) {
    if (form === "text") return value === undefined || value === null ? "–" : String(value);
    if (value === undefined || value === null) return "–";
    if (form === "g" && Math.abs(value) >= 1e5) return COMPACT.format(value);
    if (form === "g") return String(Number(value.toPrecision(3)));
    if (form.startsWith("+")) return (value < 0 ? "−" : "+") + Math.abs(value).toFixed(Number(form.slice(1)));
    return value.toFixed(Number(form));
  }

  function swatch(searcher) {
    const space = "http://www.w3.org/2000/svg";
    const svg = document.createElementNS(space, "svg");
    const line = document.createElementNS(space, "line");
    const mark = document.createElementNS(space, "path");
    const set = (element, values) => Object.entries(values).forEach(([name, value]) => element.setAttribute(name, value));
    set(svg, { viewBox: "0 0 30 12", width: 30, height: 12, class: "swatch", "aria-hidden": "true" });
    const dash = searcher.dash.join(" ");
    set(line, { x1: 1, y1: 6, x2: 29, y2: 6, stroke: searcher.color, "stroke-width": 2, "stroke-dasharray": dash });
    set(mark, { d: searcher.path, transform: "translate(15,6) scale(4)", fill: searcher.color });
    svg.append(line, mark);
    return svg;
  }

  function valueAt(line, x) {
    // The last value at or before x; undefined before the first.
    let low = 0;
    let high = line.x.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (line.x[middle] <= x) low = middle + 1;
      else high = middle;
    }
    return low ? line.y[low - 1] : undefined;
  }

  const last = (list) => list[list.length - 1];
  const median = (values) => {
    const sorted = [...values].sort((a, b) => a - b);
    const half = sorted.length >> 1;
    return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
  };

  // ---- what each chart shows: a list of lines {searcher, label, x, y, ...}

  const states = DATA.panels.map((panel) => ({
    metric: "rmse_std",
    clock: "deliverable",
    log: true,
    mode: "mean",
    whole: false,
    shown: new Set(panel.searchers.flatMap((searcher, i) => (searcher.shown ? [i] : []))),
    seeds: new Set(panel.seeds),
  }));

  function curveLines(panel, state) {
    const { means, cells } = panel.curves[state.metric][state.clock];
    if (state.mode === "mean") {
      return means
        .filter((line) => state.shown.has(line.s))
        .map((line) => ({ ...line, searcher: panel.searchers[line.s], label: panel.searchers[line.s].name }));
    }
    return cells
      .filter((line) => state.shown.has(line.s) && state.seeds.has(line.seed))
      .map((line) => {
        const searcher = panel.searchers[line.s];
        const label = `${searcher.name}, seed ${line.seed}${line.state ? ` (${line.state})` : ""}`;
        return { ...line, full: 0, searcher, label };
      });
  }

  function rankLines(panel, state) {
    const { x, lines } = panel.ranks[state.clock];
    return lines
      .filter((line) => state.shown.has(line.s))
      .map((line) => ({ ...line, x, full: 0, searcher: panel.searchers[line.s], label: panel.searchers[line.s].name }));
  }

  function shareLines(panel, state) {
    const right = Math.max(...panel.shares[state.clock].map((line) => last(line.x)));
    return panel.shares[state.clock]
      .filter((line) => state.shown.has(line.s))
      .map((line) => {
        const searcher = panel.searchers[line.s];
        return { ...line, x: [...line.x, right], y: [...line.y, last(line.y)], full: 0, searcher, label: searcher.name };
      });
  }

  const KINDS = {
    curves: { lines: curveLines, form: (state) => DATA.metrics[state.metric].form, title: (s) => DATA.metrics[s.metric].label },
    ranks: { lines: rankLines, form: () => "2", title: () => "mean rank", metric: "rmse_std", lowest: 1 },
    shares: { lines: shareLines, form: () => "3", title: () => "share reached", metric: "rmse_std", range: [0, 1] },
  };

  // The part of the error axis that is drawn: by where lines end, so that bad starts do not flatten the rest.
  function rangeOf(kind, panel, state, lines) {
    if (kind.range) return { domain: kind.range, cut: false };
    if (kind.lowest) return { domain: [kind.lowest - 0.3, panel.searchers.length + 0.3], cut: false };
    const values = lines.flatMap((line) => line.y);
    const lowest = Math.min(...values);
    const highest = Math.max(...values);
    const margin = Math.max(0.08 * (highest - lowest), 1e-6 + 0.0005 * Math.abs(highest));
    const all = { domain: [lowest - margin, highest + margin], cut: false };
    const ends = lines.map((line) => last(line.y));
    const typical = median(ends);
    const spread = Math.max(median(ends.map((end) => Math.abs(end - typical))), 0.002 * Math.abs(typical));
    const core = ends.filter((end) => end <= typical + 5 * spread);
    const low = Math.min(...core);
    const height = Math.max(Math.max(...core) - low, 0.01 * Math.abs(typical));
    const domain = [Math.min(low - 0.3 * height, lowest - 0.1 * height), low + 2 * height];
    if (state.whole || highest - lowest <= 2.5 * (domain[1] - domain[0])) return all;
    return { domain, cut: true, highest };
  }

  function lineSpec(name, kind, panel, state, lines) {
    const spec = structuredClone(DATA.specs[name]);
    const clock = DATA.metrics[kind.metric || state.metric].clocks[state.clock];
    const times = lines.flatMap((line) => line.x);
    const positive = times.filter((x) => x > 0);
    const log = state.log && positive.length > 0;
    const left = log ? 0.8 * Math.min(...positive) : 0;
    const right = (log ? 1.1 : 1.03) * Math.max(...times, 0) || 1;
    const range = rangeOf(kind, panel, state, lines);
    const rows = [];
    const drawn = name === "curves" && state.mode === "mean";
    const bands = drawn && lines.length <= MANY;
    lines.forEach((line, number) => {
      const s = line.searcher.key;
      const k = `${number}`;
      const at = (x) => Math.max(x, left);
      if (drawn && line.searcher.reference) {
        const y = last(line.y);
        rows.push({ t: "r", s, k, x: left, y }, { t: "r", s, k, x: right, y });
        rows.push({ t: "m", s, k, x: at(line.x[line.full]), y });
        return;
      }
      line.x.forEach((x, i) => {
        if (i <= line.full && line.full > 0) rows.push({ t: "e", s, k, x: at(x), y: line.y[i] });
        if (i >= line.full) rows.push({ t: "l", s, k, x: at(x), y: line.y[i] });
        if (i >= line.full && bands && line.lo.length) {
          rows.push({ t: "b", s, k, x: at(x), lo: line.lo[i - line.full], hi: line.hi[i - line.full] });
        }
      });
      // Markers lie at different places, so that they do not hide each other where lines run together.
      for (const share of [0.12, 0.37, 0.62, 0.87]) {
        const part = share + 0.03 * (number % 6);
        const x = log ? left * (right / left) ** part : right * part;
        if (x >= at(line.x[line.full]) && x <= last(line.x)) rows.push({ t: "m", s, k, x, y: valueAt(line, x) });
      }
    });
    spec.data = { values: rows };
    spec.encoding.x.scale.type = log ? "log" : "linear";
    spec.encoding.x.scale.domain = [left, right];
    spec.encoding.x.title = clock.label;
    spec.encoding.x.axis.format = right >= 1e5 ? "~s" : "~g";
    spec.encoding.x.axis.tickCount = 6;
    spec.encoding.y.scale.domain = range.domain;
    spec.encoding.y.title = kind.title(state);
    if (kind.lowest) {
      spec.encoding.y.scale.reverse = true;
      spec.encoding.y.axis = { tickMinStep: 1, format: "d" };
    }
    if (log) spec.encoding.x.axis.values = logTicks(left, right);
    if (bands) spec.layer[0].mark.opacity = Math.min(0.14, 0.45 / lines.length);
    const searchers = [...new Set(lines.map((line) => line.searcher))];
    for (const layer of spec.layer) look(layer.encoding, searchers);
    return { spec, note: noteOf(name, state, lines, range, bands) };
  }

  // 1, 2 and 5 of each power of ten, or of a long axis the powers alone.
  function logTicks(left, right) {
    const ticks = [];
    for (let power = Math.floor(Math.log10(left)); power <= Math.ceil(Math.log10(right)); power++) {
      for (const first of right < 2000 * left ? [1, 2, 5] : [1]) ticks.push(Number(`${first}e${power}`));
    }
    return ticks.filter((tick) => tick >= left && tick <= right);
  }

  function look(encoding, searchers) {
    const domain = searchers.map((searcher) => searcher.key);
    const ranges = { color: "color", strokeDash: "dash", shape: "path" };
    for (const [channel, key] of Object.entries(ranges)) {
      if (encoding[channel] && encoding[channel].field === "s") {
        encoding[channel].scale = { domain, range: searchers.map((searcher) => searcher[key]) };
      }
    }
  }

  function noteOf(name, state, lines, range, bands) {
    const notes = [];
    if (name === "curves" && state.mode === "mean") {
      const seeds = new Set(lines.map((line) => line.seeds));
      if (bands && [...seeds].some((n) => n > 2)) notes.push("Bands: 95% t-intervals over seeds.");
      if (bands && seeds.has(2)) notes.push("Bands of 2 seeds: their range.");
      if (!bands && Math.max(...seeds) > 1) notes.push(`No bands for more than ${MANY} searchers.`);
      if (lines.some((line) => line.full > 0)) notes.push("Thin: not all seeds have a result yet.");
    }
    if (range.cut) {
      const form = DATA.metrics[state.metric].form;
      const above = lines.filter((line) => last(line.y) > range.domain[1]);
      const named = above.slice(0, 3).map((line) => `${line.label} is above, at ${format(last(line.y), form)}`);
      if (above.length > 3) named.push(`${above.length - 3} more are above`);
      notes.push([`Cut at ${format(range.domain[1], form)}; lines begin as high as ${format(range.highest, form)}`, ...named].join("; ") + ".");
    }
    return notes.join(" ");
  }

  // ---- drawing

  // The page says when all charts are as they were last asked for.
  let busy = 0;
  function working(change) {
    busy += change;
    document.documentElement.dataset.drawn = String(busy === 0);
  }

  function clear(plot) {
    if (plot.view) plot.view.finalize();
    plot.view = null;
    plot.replaceChildren();
  }

  // Draw a chart, after what it is drawing now; of several that wait, only the last is drawn.
  function render(figure, spec, then) {
    const plot = figure.querySelector(".plot");
    const wanted = (plot.wanted = (plot.wanted || 0) + 1);
    working(1);
    plot.pending = (plot.pending || Promise.resolve())
      .then(async () => {
        if (wanted !== plot.wanted) return;
        clear(plot);
        const host = make("div", undefined, "host");
        plot.append(host);
        const options = { mode: "vega-lite", renderer: "svg", actions: false, tooltip: false, hover: false };
        // Expressions are interpreted, as the page's policy lets no code be made of text.
        const drawn = await vegaEmbed(host, spec, { ...options, ast: true, defaultStyle: false, config: DATA.config });
        plot.view = drawn.view;
        const svg = plot.querySelector("svg");
        svg.setAttribute("role", "img");
        svg.setAttribute("aria-label", plot.getAttribute("aria-label"));
        if (then) then(drawn.view);
      })
      .finally(() => working(-1));
    return plot.pending;
  }

  function empty(figure, text) {
    const plot = figure.querySelector(".plot");
    plot.wanted = (plot.wanted || 0) + 1;
    clear(plot);
    plot.append(make("p", text, "nothing"));
  }

  function setNote(figure, text) {
    const note = figure.querySelector(".note");
    note.textContent = text;
    note.hidden = !text;
  }

  function drawLines(figure) {
    const name = figure.dataset.chart;
    const number = Number(figure.dataset.panel);
    const [kind, panel, state] = [KINDS[name], DATA.panels[number], states[number]];
    const lines = kind.lines(panel, state);
    figure.lines = lines;
    figure.rows = () => lines.flatMap((line) => rowsOf(line));
    figure.form = kind.form(state);
    if (lines.length) {
      const { spec, note } = lineSpec(name, kind, panel, state, lines);
      render(figure, spec);
      setNote(figure, note);
    } else {
      empty(figure, state.shown.size ? "There is no result to draw." : "No searcher is chosen.");
      setNote(figure, "");
    }
    fill(figure);
    return figure.querySelector(".plot").pending;
  }

  function rowsOf(line) {
    return line.x.map((x, i) => ({
      s: line.searcher.name,
      seed: line.seed === undefined ? "mean" : line.seed,
      x,
      y: line.y[i],
      lo: line.lo && i >= line.full ? line.lo[i - line.full] : null,
      hi: line.hi && i >= line.full ? line.hi[i - line.full] : null,
      n: line.seeds === undefined ? 1 : i < line.full ? line.n[i] : line.seeds,
    }));
  }

  function drawRows(figure) {
    const name = figure.dataset.chart;
    const panel = DATA.panels[Number(figure.dataset.panel)];
    const rows = panel[name];
    figure.rows = () => rows;
    if (!rows.length) return empty(figure, "There is nothing to draw.");
    const spec = structuredClone(DATA.specs[name]);
    const byName = new Map(panel.searchers.map((searcher) => [searcher.name, searcher]));
    const searchers = [...new Set(rows.map((row) => row.s))].map((name) => byName.get(name));
    const keys = searchers.map((searcher) => searcher.key);
    spec.data = { values: rows.map((row) => ({ ...row, name: row.s, s: byName.get(row.s).key })) };
    spec.params = [{ name: "names", value: panel.searchers.map((searcher) => searcher.name) }];
    spec.height = 24 + 21 * keys.length; // a step would do, but Vega-Lite warns of it
    for (const { y } of [spec, ...(spec.layer || [])].map((part) => part.encoding || {})) {
      if (y) Object.assign(y, { scale: { domain: keys }, axis: { ...y.axis, labelLimit: figure.clientWidth < 480 ? 110 : 180 } });
    }
    for (const layer of spec.layer || []) look(layer.encoding, searchers);
    const describe = (row) => DATA.columns[name].map(([key, title, form]) => [title, format(key === "s" ? row.name : row[key], form)]);
    return render(figure, spec, (view) => tell(figure, view, describe));
  }

  function drawFunction(figure) {
    const panel = DATA.panels[Number(figure.dataset.panel)];
    const item = panel.functions[Number(figure.dataset.item)];
    const rows = item.lines.flatMap((line, id) =>
      line.y.map((y, i) => ({ k: line.k, id, seed: line.seed, found: line.found, x: DATA.grid[i], y })),
    );
    figure.rows = () => rows;
    const spec = structuredClone(DATA.specs.function);
    const values = rows.map((row) => row.y);
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const margin = Math.max(0.08 * (high - low), 0.02);
    const ends = [DATA.grid[0], last(DATA.grid)];
    spec.data = { values: [...rows, ...ends.map((x) => ({ k: "identity", x, y: x }))] };
    spec.encoding.y.scale.domain = [low - margin, high + margin];
    spec.encoding.x.scale.domain = ends;
    const describe = (row) => [["function", row.k], ["seed", row.seed], ["operation", row.found]];
    return render(figure, spec, (view) => tell(figure, view, (row) => (row.found === undefined ? [["", "identity"]] : describe(row))));
  }

  // ---- values where the pointer is

  function box(figure) {
    const plot = figure.querySelector(".plot");
    let readout = plot.querySelector(".readout");
    if (!readout) {
      readout = make("div", undefined, "readout");
      plot.append(readout);
    }
    readout.hidden = false;
    return readout;
  }

  function hide(figure) {
    figure.querySelectorAll(".readout, .cursor").forEach((element) => (element.hidden = true));
  }

  function place(figure, readout, x, y) {
    const plot = figure.querySelector(".plot");
    const width = plot.clientWidth;
    const side = x > width / 2 ? x - readout.offsetWidth - 14 : x + 14;
    readout.style.left = `${Math.max(0, Math.min(side, width - readout.offsetWidth))}px`;
    readout.style.top = `${Math.max(0, y)}px`;
  }

  function tell(figure, view, describe) {
    const plot = figure.querySelector(".plot");
    view.addEventListener("pointermove", (event, item) => {
      const row = item && item.datum && item.datum.y !== undefined ? item.datum : null;
      if (!row) return hide(figure);
      const readout = box(figure);
      const list = make("dl");
      describe(row).forEach(([title, value]) => list.append(make("dt", title), make("dd", value)));
      readout.replaceChildren(list);
      const at = plot.getBoundingClientRect();
      place(figure, readout, event.clientX - at.left, event.clientY - at.top + 12);
    });
    plot.onpointerleave = () => hide(figure);
  }

  function readAt(figure, share) {
    const plot = figure.querySelector(".plot");
    const { view } = plot;
    if (!view || !figure.lines.length) return;
    const scale = view.scale("x");
    const [ox, oy] = view.origin();
    const px = Math.max(0, Math.min(1, share)) * view.width();
    const x = scale.invert(px);
    let cursor = plot.querySelector(".cursor");
    if (!cursor) {
      cursor = make("div", undefined, "cursor");
      plot.append(cursor);
    }
    cursor.hidden = false;
    cursor.style.left = `${ox + px}px`;
    cursor.style.top = `${oy}px`;
    cursor.style.height = `${view.height()}px`;
    const readout = box(figure);
    const state = states[Number(figure.dataset.panel)];
    const clock = DATA.metrics[KINDS[figure.dataset.chart].metric || state.metric].clocks[state.clock];
    const found = figure.lines
      .map((line) => ({ line, y: x <= last(line.x) ? valueAt(line, x) : last(line.y) }))
      .sort((a, b) => (a.y === undefined ? 1 : b.y === undefined ? -1 : a.y - b.y));
    if (figure.dataset.chart === "shares") found.reverse();
    const list = make("table");
    for (const { line, y } of found.slice(0, 12)) {
      const row = make("tr");
      const name = make("th");
      name.append(swatch(line.searcher), make("span", line.label));
      row.append(name, make("td", y === undefined ? "none yet" : format(y, figure.form)));
      list.append(row);
    }
    readout.replaceChildren(make("p", `${format(x, "g")} – ${clock.label}`), list);
    if (found.length > 12) readout.append(make("p", `and ${found.length - 12} more`));
    place(figure, readout, ox + px, oy);
  }

  function follow(figure) {
    const plot = figure.querySelector(".plot");
    let share = 0.5;
    const move = (event) => {
      if (!plot.view) return;
      const [ox] = plot.view.origin();
      share = (event.clientX - plot.getBoundingClientRect().left - ox) / plot.view.width();
      if (share < -0.02 || share > 1.02) return hide(figure);
      readAt(figure, share);
    };
    plot.addEventListener("pointermove", move);
    plot.addEventListener("pointerdown", move);
    plot.addEventListener("pointerleave", () => hide(figure));
    plot.addEventListener("blur", () => hide(figure));
    plot.addEventListener("keydown", (event) => {
      const steps = { ArrowLeft: -1, ArrowRight: 1, Home: -STEPS, End: STEPS }[event.key];
      if (event.key === "Escape") hide(figure);
      if (!steps || !plot.view) return;
      event.preventDefault();
      share = Math.max(0, Math.min(1, share + steps / STEPS));
      readAt(figure, share);
      box(figure).setAttribute("aria-live", "polite");
    });
  }

  // ---- the table behind a chart, made when it is opened

  function fill(figure) {
    const details = figure.querySelector("details.data");
    if (!details.open || !figure.rows) return;
    const name = figure.dataset.chart;
    const columns = DATA.columns[name];
    const table = make("table", undefined, "plain");
    const head = make("tr");
    columns.forEach(([, title, form]) => {
      const cell = make("th", title, form === "text" ? "" : "number");
      cell.scope = "col";
      head.append(cell);
    });
    const body = make("tbody");
    for (const row of figure.rows()) {
      const line = make("tr");
      columns.forEach(([key, , form]) => {
        const as = form === "value" ? figure.form : form;
        line.append(make("td", format(row[key], as), form === "text" ? "" : "number"));
      });
      body.append(line);
    }
    const top = make("thead");
    top.append(head);
    table.append(top, body);
    details.querySelector(".scroll").replaceChildren(table);
  }

  // ---- controls

  function figuresOf(number, names) {
    return [...document.querySelectorAll(`figure[data-panel="${number}"]`)].filter((f) => names.includes(f.dataset.chart));
  }

  function connect(section) {
    const number = Number(section.dataset.panel);
    const [panel, state] = [DATA.panels[number], states[number]];
    const says = section.querySelector(".says");
    const redraw = (names = ["curves", "ranks", "shares"]) => figuresOf(number, names).forEach(drawLines);
    const explain = () => {
      const metric = DATA.metrics[state.metric];
      says.replaceChildren(make("span", metric.says), make("span", ` The clock includes ${metric.clocks[state.clock].includes}.`));
      section.classList.toggle("validation", state.metric === "validation");
    };
    explain();
    section.querySelector(".controls").addEventListener("change", (event) => {
      const input = event.target;
      const name = input.dataset.name || input.name;
      if (name === "metric" || name === "clock" || name === "mode") state[name] = input.value;
      if (name === "log") state.log = input.value === "log";
      if (name === "whole") state.whole = input.checked;
      if (name === "seed") state.seeds[input.checked ? "add" : "delete"](Number(input.value));
      section.querySelector(".seeds").hidden = state.mode === "mean";
      explain();
      redraw(name === "clock" || name === "log" ? undefined : ["curves"]);
    });
    const list = section.querySelector(".series");
    const boxes = [...list.querySelectorAll("input[type=checkbox]")];
    list.addEventListener("change", (event) => {
      if (event.target.type !== "checkbox") return;
      state.shown[event.target.checked ? "add" : "delete"](Number(event.target.value));
      redraw();
    });
    list.addEventListener("click", (event) => {
      const which = event.target.dataset.show;
      if (!which) return;
      boxes.forEach((input) => {
        const i = Number(input.value);
        input.checked = which === "all" || (which === "first" && panel.searchers[i].shown);
        state.shown[input.checked ? "add" : "delete"](i);
      });
      redraw();
    });
    const filter = list.querySelector(".filter");
    if (filter) {
      filter.addEventListener("input", () => {
        const wanted = filter.value.trim().toLowerCase();
        boxes.forEach((input) => {
          const { name } = panel.searchers[Number(input.value)];
          input.closest("li").hidden = !name.toLowerCase().includes(wanted);
        });
      });
    }
  }

  // ---- tables and matrices

  function sortable(table) {
    const heads = [...table.tHead.rows[0].cells];
    const body = table.tBodies[0];
    const original = [...body.rows];
    table.tHead.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (!button) return;
      const head = button.closest("th");
      const column = heads.indexOf(head);
      const rising = head.getAttribute("aria-sort") !== "ascending";
      const numeric = head.classList.contains("number");
      const value = (row) => {
        const cell = row.cells[column];
        return numeric ? (cell.dataset.value === "" ? null : Number(cell.dataset.value)) : cell.textContent.trim();
      };
      const compare = (a, b) => {
        const [first, other] = [value(a), value(b)];
        if (first === null || other === null) return (first === null) - (other === null); // what is missing stays last
        const order = numeric ? first - other : first.localeCompare(other);
        return rising ? order : -order;
      };
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", rising ? "ascending" : "descending");
      body.append(...[...original].sort(compare));
    });
  }

  function matrix(table) {
    const says = table.closest("section").querySelector(".words-of-pair");
    const rows = [...table.tBodies[0].rows].map((row) => [...row.cells].slice(2));
    const first = table.querySelector("td[data-words]");
    if (first) first.tabIndex = 0;
    const show = (cell) => {
      if (cell && cell.dataset.words) says.textContent = `${cell.dataset.words}.`;
    };
    table.addEventListener("pointerover", (event) => show(event.target.closest("td")));
    table.addEventListener("focusin", (event) => show(event.target.closest("td")));
    table.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
      const cell = event.target.closest("td[data-words]");
      if (!step || !cell) return;
      event.preventDefault();
      let i = rows.findIndex((row) => row.includes(cell));
      let j = rows[i].indexOf(cell);
      do {
        i += step[0];
        j += step[1];
      } while (rows[i] && rows[i][j] && !rows[i][j].dataset.words); // over the diagonal
      const next = rows[i] && rows[i][j];
      if (!next) return;
      cell.tabIndex = -1;
      next.tabIndex = 0;
      next.focus();
    });
  }

  // ---- start: controls first, then one chart after another, so that the page answers meanwhile

  document.querySelectorAll("section.curves").forEach(connect);
  document.querySelectorAll("table.sortable").forEach(sortable);
  document.querySelectorAll("table.matrix").forEach(matrix);
  const waiting = [...document.querySelectorAll("figure.chart")];
  waiting.forEach((figure) => {
    figure.querySelector("details.data").addEventListener("toggle", () => fill(figure));
    if (KINDS[figure.dataset.chart]) follow(figure);
  });

  function draw(figure) {
    const name = figure.dataset.chart;
    if (KINDS[name]) return drawLines(figure);
    return name === "function" ? drawFunction(figure) : drawRows(figure);
  }

  async function drawAll() {
    working(1);
    for (const figure of waiting) {
      await draw(figure);
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    working(-1);
  }

  drawAll();
})();
