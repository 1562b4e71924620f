# A restart enters the release that is live then: the path of the site is a link to it.
directory ENV.fetch("SITE")
threads 2, 2
pidfile "tmp/pids/server.pid"
bind "unix://tmp/sockets/puma.sock"
