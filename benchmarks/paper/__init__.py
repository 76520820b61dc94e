"""The paper's studies, one file each, which `automl-cf reproduce` carries out, and judges the paper's claims by.

A file is a study at full scale, with a table `quick` of what is otherwise at the quick one. Which tables and figures of
the paper are made of which studies stands in `automl_cf/reproduction/exhibits.py`.
"""
