-- The names that nginx defines, and the globals that the list of backends sets.
std = "ngx_lua"
globals = { "web_server_ips", "web_backend_ports", "web_server_file" }
max_line_length = 100
