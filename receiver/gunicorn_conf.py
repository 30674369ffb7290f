"""gunicorn's own settings, from ours. https://docs.gunicorn.org/en/stable/settings.html"""

from receiver import settings

_config = settings.load()

bind = f"{_config.host}:{_config.port}"
workers = _config.web_workers
# Threads keep answering while one of them waits for a slow client or for its turn to write.
worker_class = "gthread"
threads = 8
timeout = 30
graceful_timeout = 8
keepalive = 5
accesslog = None
errorlog = "-"
loglevel = "warning"
control_socket_disable = True
