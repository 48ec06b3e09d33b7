package daemon

import (
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// The registry gathers without an error, and every metric tells what it is.
func TestMetrics(t *testing.T) {
	d := assembled(t)
	families, err := d.metrics.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, f := range families {
		seen[f.GetName()] = true
		if f.GetHelp() == "" {
			t.Errorf("metric %s has no help", f.GetName())
		}
	}
	for _, name := range []string{"go_goroutines", "porcupine_build_info", "porcupine_members", "porcupine_certificate_not_after_seconds",
		"porcupine_store_log_syncs_total", "porcupine_store_derived_total", "porcupine_store_derived_late_total", "porcupine_store_underived_total",
		// the watchdog
		"porcupine_out", "porcupine_outages_total", "porcupine_disk_owing_seconds",
		// admission
		"porcupine_delivery_short_total", "porcupine_delivery_retries_refused_total", "porcupine_calls_expired_total",
		"porcupine_deliveries_in_progress", "porcupine_deliveries_limit", "porcupine_deliveries_waiting", "porcupine_deliveries_waited_seconds_total",
		"porcupine_deliveries_busy_connections_total", "porcupine_deliveries_busy_early_total", "porcupine_deliveries_busy_late_total",
		"porcupine_deliveries_abandoned_total",
		// the change feed, and the indexes that live on it
		"porcupine_feed_subscriptions", "porcupine_feed_told_total", "porcupine_feed_gaps_total",
		"porcupine_imap_indexes", "porcupine_imap_index_refused_total", "porcupine_imap_notices_lost_total",
		// load
		"porcupine_spool_bytes", "porcupine_spool_refused_total", "porcupine_spool_users_bytes", "porcupine_spool_users_refused_total",
		"porcupine_store_pending", "porcupine_store_commit_seconds_total", "porcupine_rebalance_done_total",
		// damage
		"porcupine_contents_lost", "porcupine_contents_waiting", "porcupine_removals_refused_total"} {
		if !seen[name] {
			t.Errorf("metric %s is missing", name)
		}
	}
	described := describedBy(d.metrics.registry)
	for name := range seen {
		if !described[name] {
			t.Errorf("metric %s is not described", name)
		}
	}
	for _, document := range []string{"../../README.md", "../../docs/operations.md", "../../docs/performance.md"} {
		text, err := os.ReadFile(document)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range regexp.MustCompile(`porcupine_[a-z_]+`).FindAllString(string(text), -1) {
			if !described[name] {
				t.Errorf("%s names the metric %s, which there is not", document, name)
			}
		}
	}
	w := httptest.NewRecorder()
	promhttp.HandlerFor(d.metrics.registry, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "porcupine_members 1\n") {
		t.Errorf("GET /metrics = %d", w.Code)
	}
}

// describedBy gives the names of all that a registry may ever give, also of what nothing was counted of yet.
func describedBy(r *prometheus.Registry) map[string]bool {
	descs := make(chan *prometheus.Desc)
	go func() {
		r.Describe(descs)
		close(descs)
	}()
	name := regexp.MustCompile(`fqName: "([^"]+)"`)
	names := map[string]bool{}
	for d := range descs {
		names[name.FindStringSubmatch(d.String())[1]] = true
	}
	return names
}
