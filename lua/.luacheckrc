-- The names that nginx defines, and the globals that the list of backends sets.
std = "ngx_lua"
globals = { "web_server_ips", "web_backend_ports", "web_kept_headers" }
max_line_length = 100
