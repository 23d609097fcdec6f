"""The app: how it is found, imported and set up, in the process that runs it.

target.py       finds and imports the app, and says what kind it is
pick.py         which object of the module that is; a factory is called
failure.py      what is said when user code fails, or is not there
app_config.py   the configuration that an app is served with
folders.py      the folders of STATIC, mounted beside it
budgets.py      each process's share of connections, before and after the import
declared.py     the companions that an app declares
main_process.py its listeners of ``main_process_...``, its files, whether it may be forked
job.py          all of that in one value: what a serving process has to do
"""
