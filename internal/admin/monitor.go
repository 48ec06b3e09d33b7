package admin

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"time"
)

// Monitor answers on the monitoring listener: /metrics, /healthz, /readyz, /status.
type Monitor struct {
	Cluster Cluster
	Metrics http.Handler
	Logger  *slog.Logger
	Timeout time.Duration
}

// Handler gives the HTTP handler.
func (m *Monitor) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", m.Metrics)
	// Alive: the process runs and answers. Whether it should get clients is /readyz's business.
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { m.text(w, http.StatusOK, "ok\n") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := m.Cluster.Ready(); err != nil {
			m.text(w, http.StatusServiceUnavailable, "not ready: "+err.Error()+"\n")
			return
		}
		m.text(w, http.StatusOK, "ready\n")
	})
	mux.HandleFunc("GET /status", m.status)
	return mux
}

func (m *Monitor) status(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), m.Timeout)
	defer cancel()
	status, err := m.Cluster.Status(ctx)
	if err != nil {
		m.text(w, httpStatus(err), err.Error()+"\n")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(status); err != nil {
		m.Logger.Debug("status not delivered", "err", err)
	}
}

func (m *Monitor) text(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(code)
	if _, err := w.Write([]byte(text)); err != nil {
		m.Logger.Debug("answer not delivered", "err", err)
	}
}
