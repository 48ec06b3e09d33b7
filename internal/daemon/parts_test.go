package daemon

import (
	"context"
	"testing"
	"testing/synctest"

	"porcupine/internal/cluster"
)

// TestPartsAreAwaited: who lists a mailbox to import into it waits for the parts that come in, and for no others.
func TestPartsAreAwaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newParts()
		one, two := p.begin("a"), p.begin("a")
		if err := p.wait(t.Context(), "b"); err != nil {
			t.Errorf("another user waits: %v", err)
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if err := p.wait(gone, "a"); !cluster.IsKind(err, cluster.KindUnavailable) {
			t.Errorf("who goes away = %v, want unavailable", err)
		}
		waited := make(chan error, 1)
		go func() { waited <- p.wait(t.Context(), "a") }()
		synctest.Wait()
		one()
		synctest.Wait()
		select {
		case <-waited:
			t.Fatal("one part is left, and nobody waits for it")
		default:
		}
		two()
		if err := <-waited; err != nil {
			t.Error(err)
		}
		if err := p.wait(t.Context(), "a"); err != nil || len(p.running) != 0 {
			t.Errorf("afterwards: %v, %d under way", err, len(p.running))
		}
	})
}
