"""The paper's tables, figures and claims, made anew: studies, exhibits, claims, and the report on all of them.

`studies` reads the studies of benchmarks/paper at a scale and carries them out; `exhibits` says which table or figure
is made of which, and `drawing` draws it; `transfer` and `leak` are the two questions of our own; `claims` judges;
`report` writes it down.
"""
