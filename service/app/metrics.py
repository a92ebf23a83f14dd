"""Every metric of the service, named once. The domain takes what it observes from here; nothing else defines metrics."""

from __future__ import annotations

from prometheus_client import REGISTRY, Counter, Gauge, Histogram

# Buckets show 1 to 200 ms, which is where the promises lie (p95 < 200 ms for HTTP, < 5 ms for typing).
FAST = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2.5, 5)
SLOW = (0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120)

HTTP_REQUESTS = Counter("http_requests_total", "HTTP requests answered", ["method", "endpoint", "status"])
HTTP_SECONDS = Histogram("http_request_duration_seconds", "Time to answer an HTTP request", ["method", "endpoint"], buckets=FAST)
WS_CONNECTIONS = Gauge("websocket_active_connections", "Open WebSockets")
WS_LATENCY = Histogram("websocket_message_latency_seconds", "Message read to reply handed to the socket", ["type"], buckets=FAST)
WS_ERRORS = Counter("websocket_errors_total", "WebSocket messages or sockets refused", ["code"])
WS_MESSAGES = Counter("messages_processed_total", "WebSocket messages handled", ["type"])
PREDICTION_SECONDS = Histogram("prediction_latency_seconds", "Time to predict products for one text", buckets=FAST)
SEARCHES = Counter("products_searched_total", "Predictions and searches made", ["source"])
ANSWER_SECONDS = Histogram("answer_generation_seconds", "Job taken to final answer", ["outcome"], buckets=SLOW)
PDF_SECONDS = Histogram("pdf_fetch_seconds", "Fetching and indexing one manual", ["outcome"], buckets=SLOW)
DOCUMENTS_INDEXED = Counter("documents_indexed_total", "Manuals fetched and indexed")
CACHE_HITS = Counter("cache_hits_total", "Values found", ["layer", "namespace"])
CACHE_MISSES = Counter("cache_misses_total", "Values not found", ["layer", "namespace"])
LLM_ERRORS = Counter("llm_errors_total", "Failures of the answer provider", ["provider"])
REDIS_ERRORS = Counter("redis_errors_total", "Failed Redis operations", ["server"])
TASKS_ACTIVE = Gauge("background_tasks_active", "Jobs or tasks this process works on now")
RESUMES = Counter("resume_total", "Reconnects by outcome", ["result"])
GAP_REPAIRS = Counter("stream_gap_repairs_total", "Messages that pub/sub missed and the stream gave")
TAKEOVERS = Counter("answer_takeovers_total", "Jobs continued after another worker vanished")
FENCED = Counter("fenced_appends_total", "Appends refused because another attempt owns the job")
DRAIN_SECONDS = Histogram("drain_seconds", "SIGTERM to last socket closed", buckets=SLOW)
LOOP_LAG = Gauge("loop_lag_seconds", "How late the event loop's last tick came")

registry = REGISTRY
