"""The ways in which a uWSGI fails, by what it prints: a table of patterns and sentences.

`source` names the function of uWSGI 2.0.31 that prints the lines. A sentence says "cannot X: cause;
cure", and keeps uWSGI's own words for the cause, so that a search for them finds more.
docs/causes.md is made from this table.
"""

from collections.abc import Sequence

from emperor.uwsgi.cause_rule import ERROR, SOME_LINES, Rule, rule

_SOCKETS = (
    rule(
        r"running on the same address \((?P<address>.*)\)\.\n.*bind\(\): Address already in use",
        "cannot listen on {address}: Address already in use, {holder}; choose another address, or"
        " stop what has this one",
        "core/socket.c: bind_to_tcp, bind_to_unix",
    ),
    rule(
        r"bind\(\): Permission denied \[",
        "cannot bind a socket{bound}: Permission denied; a port below 1024 needs root, and the"
        " folder of a unix socket must be writable by the app's user",
        "core/socket.c: bind_to_tcp, bind_to_unix",
    ),
    rule(
        r"bind\(\): No such file or directory \[",
        "cannot bind a socket{bound}: its folder is not there (No such file or directory); create"
        " the folder, or correct the path",
        "core/socket.c: bind_to_unix",
    ),
    rule(
        r"bind\(\): Cannot assign requested address \[",
        "cannot bind a socket{bound}: Cannot assign requested address; no interface of this machine"
        " has that address, so correct it",
        "core/socket.c: bind_to_tcp",
    ),
    rule(
        r"bind\(\): " + ERROR,
        "cannot bind a socket{bound}: {error}; {cure}",
        "core/socket.c: bind_to_tcp, bind_to_unix",
    ),
    rule(
        r"Listen queue size is greater than the system max net\.core\.somaxconn \((?P<most>\d+)\)",
        "cannot listen: Listen queue size is greater than the system max net.core.somaxconn"
        " ({most}); lower `listen`, or raise net.core.somaxconn by sysctl",
        "core/socket.c: create_server_socket",
    ),
    rule(
        r"unable to (?P<what>(?:create|use|find) (?:a |the )?(?:shared|server) socket.*)",
        "cannot set up a socket: unable to {what}; correct the socket options of the ini",
        "core/socket.c: uwsgi_bind_sockets, uwsgi_setup_shared_sockets",
        is_vague=True,
    ),
    rule(
        r"\[uwsgi-ssl\] unable to (?P<what>assign (?:certificate|key) (?P<path>\S+)|set .*)"
        r" for context",
        "cannot set up TLS: unable to {what}; is it a readable PEM file, and does the key belong to"
        " the certificate?",
        "core/ssl.c: uwsgi_ssl_new_server_context",
    ),
    rule(
        r"unable to load (?P<what>client CA certificate \(.*?\)|private key: .*)",
        "cannot set up TLS: unable to load {what}; is it a readable PEM file?",
        "core/ssl.c: uwsgi_ssl_new_server_context, uwsgi_rsa_sign",
    ),
)

_PLACES = (
    # The line of the source tells chdir2 from chdir: 3522 and 2637 in uWSGI 2.0.31.
    rule(
        r"^chdir\(\) to (?P<path>.*)\n.*chdir\(\): (?P<error>[^\[\n]+?)"
        r" \[core/uwsgi\.c line [3-9]\d{3}\]",
        "cannot enter the folder {path} of chdir2: {error}; {cure}",
        "core/uwsgi.c: uwsgi_worker_run",
    ),
    rule(
        r"^chdir\(\) to (?P<path>.*)\n.*chdir\(\): " + ERROR,
        "cannot enter the folder {path} of chdir: {error}; {cure}",
        "core/uwsgi.c: uwsgi_start",
    ),
    rule(
        r"^chroot\(\) to (?P<path>.*)\n.*chroot\(\): " + ERROR,
        "cannot enter the folder {path} of chroot: {error}; {cure}",
        "core/utils.c: uwsgi_as_root",
    ),
    rule(
        r"^writing pidfile to (?P<path>.*)\n.*open\(.*\): " + ERROR,
        "cannot write the pidfile {path}: {error}; {cure}",
        "core/utils.c: uwsgi_write_pidfile",
    ),
    rule(
        r"open\(\"(?P<path>[^\"\n]*)\"\): (?P<error>[^\[\n]+?) \[core/logging\.c",
        "cannot write the log {path} of logto or daemonize: {error}; {cure}",
        "core/logging.c: logto",
    ),
    rule(
        r"open\(\"(?P<path>[^\"\n]*)\"\): (?P<error>[^\[\n]+?) \[(?!core/daemons|core/plugins)",
        "cannot open {path}: {error}; {cure}",
        "uwsgi.h: uwsgi_error_open",
    ),
    rule(
        r"(?P<path>/.*) is locked by another instance",
        "cannot lock {path} of flock: another process has it; end that, or choose another file",
        "core/uwsgi.c: uwsgi_opt_flock",
    ),
    rule(
        r"\[spooler directory\] access\(\): " + ERROR,
        "cannot use the folder of spooler: {error}; {cure}",
        "core/spooler.c: uwsgi_opt_add_spooler",
    ),
    rule(
        r"\[spooler\] realpath\(\): " + ERROR,
        "cannot use the folder of spooler: {error}; {cure}",
        "core/spooler.c: uwsgi_new_spooler",
    ),
    rule(
        r"uwsgi_master_fifo\(\)/(?P<call>\w+)\(\): " + ERROR,
        "cannot make the FIFO of master-fifo: {error}; {cure}",
        "core/fifo.c: uwsgi_master_fifo",
    ),
    rule(
        r"realpath\(\) of (?P<path>.*) failed: " + ERROR,
        "cannot find {path}: {error}; {cure}",
        "core/utils.c: uwsgi_expand_path",
    ),
    rule(
        r"\[uwsgi-envdir\] (?P<call>\w+)\(\): " + ERROR,
        "cannot read the folder of envdir: {error}; {cure}",
        "core/utils.c: uwsgi_envdir",
    ),
    rule(
        r"^waiting for (?P<path>.*) \(max (?P<most>\d+) seconds\)",
        "cannot start yet: uWSGI waits for {path} (wait-for-*, at most {most} seconds); create it,"
        " or drop that option",
        "core/utils.c: uwsgi_wait_for_fs",
    ),
)

_USERS = (
    rule(
        r"(?:^(?P<kind>user|group) (?P<name>.*) not found\.$)",
        "cannot become the {kind} {name}: there is none of that name; create it, or correct uid and"
        " gid",
        "core/utils.c: uwsgi_as_root",
    ),
    rule(
        r"unable to find (?P<kind>user|group|uid|gid) (?P<name>\S+)",
        "cannot find the {kind} {name}: there is none of that name; create it, or correct the"
        " option that names it",
        "core/utils.c: uwsgi_chown; core/uwsgi.c: uwsgi_opt_uid",
    ),
    rule(
        r"^chown\(\): " + ERROR,
        "cannot give a socket of the ini{bound} to the user of chown-socket: chown(): {error}; drop"
        " that socket, as nginx talks to emperord's own, or drop chown-socket",
        "core/utils.c: uwsgi_chown",
    ),
    rule(
        r"cannot (?P<call>chroot|setgid|setuid)\(\) as non-root user",
        "cannot {call}() as non-root user: the app runs as the owner of its ini; drop uid, gid and"
        " chroot, or have root own the ini",
        "core/utils.c: uwsgi_as_root",
    ),
)

_HOOKS = (
    rule(
        r"^(?:running \"(?P<hook>.*)\" \((?P<phase>[^()\n]*)\) ?\.\.\.\n(?P<said>(?:.*\n){0,9}?))?"
        r"command \"(?P<command>.*)\" exited with non-zero code: (?P<code>\d+)",
        'cannot run the command of {option}: command "{command}" exited with non-zero code'
        " {code}{said}; mend that command, or drop {option}",
        "core/uwsgi.c: uwsgi_start; core/hooks.c: uwsgi_hook_exec",
    ),
    rule(
        r"hook action not found: (?P<action>.*)",
        "cannot run a hook: uWSGI has no action {action!r}; correct it, as exec:COMMAND",
        "core/hooks.c: uwsgi_hooks_run",
    ),
    rule(
        r"unable to call function \"(?P<name>.*)\"",
        "cannot call the function {name!r} of a hook: uWSGI has none of that name; correct it, or"
        " load the plugin that has it",
        "core/hooks.c: uwsgi_hook_call; core/uwsgi.c: uwsgi_init_all_apps",
    ),
    rule(
        r"^running \"(?P<hook>(?!!?(?:safe)?exec:).*)\" \([^()\n]*\) ?\.\.\.\n"
        r"(?P<what>.*?)(?: \[[\w/]+\.c line \d+\])?\n.*FATAL hook failed",
        "cannot do {hook} of a hook: {what}; correct it, or drop that hook",
        "core/hooks.c: uwsgi_hooks_run",
    ),
    rule(
        r"FATAL hook failed",
        "cannot go on: a hook of the ini failed; its log says which",
        "core/hooks.c: uwsgi_hooks_run",
        is_vague=True,
    ),
    rule(
        r"invalid cron syntax",
        "cannot add a cron job: invalid cron syntax; write cron = MINUTE HOUR DAY MONTH WEEKDAY"
        " COMMAND in numbers, with -1 for any",
        "core/cron.c: uwsgi_cron_add",
    ),
    rule(
        r"(?:unable to parse|invalid command in) cron definition: (?P<value>.*)",
        "cannot add the cron job {value!r}: invalid cron syntax; write cron2 ="
        " minute=M,hour=H COMMAND",
        "core/cron.c: uwsgi_opt_add_cron2",
    ),
)

_OPTIONS = (
    rule(
        r"\[strict-mode\] unknown config directive: (?P<key>.*)",
        "cannot use the option {key!r}: under `strict` an unknown config directive is an error;"
        " correct or drop it, or load the plugin that knows it",
        "core/config.c: uwsgi_opt_get",
    ),
    rule(
        r"forbidden option \"(?P<key>.*)\" \(by (?P<list>\w+)\)",
        "cannot use the option {key!r}: it is forbidden by a {list} of this uWSGI; drop it",
        "core/config.c: add_exported_option_do",
    ),
    rule(
        r"invalid value for option \"(?P<key>.*)\": (?P<what>.*)",
        "cannot use the value of {key}: invalid value, {what}; correct it",
        "core/uwsgi.c: uwsgi_opt_set_int",
    ),
    rule(
        r"pcre error: (?P<what>.*)",
        "cannot use a regular expression of the ini: pcre error: {what}; correct that of route,"
        " log-filter, log-drain, log-route, log-alarm or static-expires",
        "core/regexp.c: uwsgi_regexp_build",
    ),
    rule(
        r"^(?P<what>you (?:have|need) to specify .*)",
        "cannot use a value of the ini: {what}; complete it",
        "core/cache.c: uwsgi_cache_create; core/metrics.c: uwsgi_opt_add_metric",
    ),
    rule(
        r"invalid mountpoint: (?P<value>.*)",
        "cannot mount {value!r}: invalid mountpoint; write mount = /PATH=FILE",
        "core/uwsgi.c: uwsgi_init_all_apps",
    ),
    rule(
        r"invalid cheaper value: (?P<what>.*)",
        "cannot use cheaper: {what}; raise processes, or lower cheaper",
        "core/init.c: sanitize_args",
    ),
    rule(
        r"^(?:\[[\w-]+\] ?)?(?P<what>(?:invalid|wrong) .*)",
        "cannot use a value of the ini: {what}; correct it",
        "core/uwsgi.c, core/init.c, core/hooks.c: several",
    ),
    rule(
        r"unable to load plugin \"(?P<name>.*)\"",
        "cannot load the plugin {name!r}: this uWSGI finds none of that name; install it, set"
        " plugins-dir, or drop need-plugin",
        "core/uwsgi.c: uwsgi_opt_load_plugin",
    ),
    rule(
        r"unavailable loop engine",
        "cannot run the loop of the ini: unavailable loop engine; correct `loop`, or load the"
        " plugin that has it",
        "core/uwsgi.c: uwsgi_ignition",
    ),
    rule(
        r"\*\*\* Operational MODE: no-workers \*\*\*",
        "cannot accept requests: uWSGI runs no workers; set processes to 1 or more",
        "core/uwsgi.c: uwsgi_start",
        is_vague=True,
    ),
    rule(
        r"^(?P<what>unable to (?:find|load|parse|open|initialize|set|create|allocate) .*)",
        "cannot start uWSGI: {what}; correct the option that asks for this",
        "core: several",
        is_vague=True,
    ),
    rule(
        r"^(?P<what>log encoder .* not found)",
        "cannot start uWSGI: {what}; correct that option, or load the plugin that has it",
        "core/logging.c: uwsgi_setup_log_encoders",
    ),
)

_MEMORY = (
    rule(
        r"(?:tried memory|mmap\(\)|malloc\(\)|calloc\(\)|realloc\(\)|shmget\(\)).*"
        r"(?:allocation of|Cannot allocate memory).*",
        "cannot get memory: Cannot allocate memory; raise limit-as or the machine's memory, or"
        " lower what the ini has uWSGI allocate (cache2, processes, threads)",
        "core/utils.c: uwsgi_malloc, uwsgi_malloc_shared; core/cache.c: uwsgi_cache_init",
    ),
    rule(
        r"fork\(\): " + ERROR,
        "cannot fork: {error}; {cure}",
        "core/uwsgi.c, core/utils.c: several",
    ),
)

_APP = (
    rule(
        r"^chroot\(\) to (?P<path>.*)\n"
        + SOME_LINES
        + r".*!!! Python Home is not a directory: .*\n"
        r"" + SOME_LINES + r".*Fatal Python error: .*(?:\n.*){0,2}",
        "cannot start Python: its library is not in the folder {path} of chroot; put Python there,"
        " or drop chroot",
        "plugins/python/python_plugin.c: uwsgi_python_init",
    ),
    rule(
        r"!!! Python Home is not a directory: (?P<path>.*) !!!\n" + SOME_LINES + r".*"
        r"Fatal Python error: .*(?:\n.*){0,2}",
        "cannot start Python: the virtualenv {path} is not there; create it, or correct virtualenv"
        " or home",
        "plugins/python/python_plugin.c: uwsgi_python_init",
    ),
    rule(
        r"^Set PythonHome to (?P<path>.*)\n"
        + SOME_LINES
        + r".*Fatal Python error: .*(?:\n.*){0,2}",
        "cannot start Python: {path} is no virtualenv of this Python; create it anew with the"
        " Python of uWSGI, or correct virtualenv or home",
        "plugins/python/python_plugin.c: uwsgi_python_init",
    ),
    rule(
        r"Fatal Python error: (?P<what>.*)",
        "cannot go on: Fatal Python error: {what}; its log has more",
        "Python: Py_FatalError",
    ),
    rule(
        r"got (?P<what>Segmentation Fault|Floating Point Exception) !!!(?:\n.*\[0x\w+\]$)*",
        "cannot go on: {what} in compiled code, of the app or of a module that it loads; install"
        " such modules anew for this Python",
        "core/uwsgi.c: uwsgi_segfault, uwsgi_fpe",
    ),
    rule(
        # Our own file is not there in a chroot, and uWSGI goes on.
        r"failed to open python file (?P<path>(?!.*/uwsgi/inside\.py$).*)",
        "cannot load the app: failed to open python file {path}; is it there, and may the app's"
        " user read it?",
        "plugins/python/python_plugin.c: uwsgi_pyimport_by_filename",
    ),
    rule(
        r"unable to find \"application\" callable in file (?P<path>.*)",
        "cannot load the app: {path} defines no callable `application`, or none of the name in"
        " `callable`; define it, or correct `callable`",
        "plugins/python/pyloader.c: uwsgi_file_loader",
    ),
    rule(
        r"\"application\" must be a callable object in file (?P<path>.*)",
        "cannot load the app: the `application` of {path} is no callable object; make it a function"
        " or an object with __call__",
        "plugins/python/pyloader.c: uwsgi_file_loader",
    ),
    rule(
        r"FATAL ERROR: you cannot load more than (?P<most>\d+) apps",
        "cannot load the apps: there are more than {most}; raise max-apps",
        "core/utils.c: uwsgi_add_app",
    ),
    rule(
        r"unable to load app \d+ \(mountpoint='.*'\).*(?:\n.*no app loaded\. GAME OVER)?",
        "cannot load the app: callable not found; write module = MODULE:CALLABLE, or callable ="
        " CALLABLE, by a name that the module defines",
        "plugins/python/pyloader.c: init_uwsgi_app",
        is_vague=True,
    ),
    rule(
        r"no app loaded\. GAME OVER",
        "cannot load the app: no app loaded; name one by file, wsgi-file or module",
        "core/uwsgi.c: uwsgi_init_all_apps",
        is_vague=True,
    ),
)

_ANYTHING = (
    rule(
        r"^(?:\w{3} \w{3} [\d: ]+ - )?(?P<call>[\w/\[\]() ,.-]+\(\)[\w/()]*): " + ERROR,
        "cannot start uWSGI: {call}: {error}; {cure}",
        "uwsgi.h: uwsgi_error",
        is_vague=True,
    ),
)

# Of two rules that match the same line, the first counts.
RULES: Sequence[Rule] = (
    *_SOCKETS, *_PLACES, *_USERS, *_HOOKS, *_OPTIONS, *_MEMORY, *_APP, *_ANYTHING,
)  # fmt: skip
