-- nginx's own names, and the two that the list of backends sets.
std = "ngx_lua"
globals = { "web_server_ips", "web_backend_ports" }
max_line_length = 100
