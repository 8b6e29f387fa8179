-- The names that nginx defines, and the two globals that the list of backends sets.
std = "ngx_lua"
globals = { "web_server_ips", "web_backend_ports" }
max_line_length = 100
