"""Processes by the code that they run: the templates of generations, and the workers made of them.

generation.py   one generation: where its workers come from, and how a program is run again
generations.py  those that there are, with their templates: made, heard, ended
template.py     the process that imports the app and forks workers
workforce.py    the worker processes: made, heard, buried
autopsy.py      what is known of one that died
"""
