package sasl

import (
	"slices"
	"testing"

	"porcupine/internal/cluster"
)

// FuzzEvents reads what a node might send.
func FuzzEvents(f *testing.F) {
	f.Add([]byte{newsVersion})
	f.Add(appendEvents(nil, []event{{keys: keys{1, 2, 3, 4, true}, failed: true}, {taken: 7}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		events, err := parseEvents(b)
		if err != nil {
			if !cluster.IsKind(err, cluster.KindInvalid) {
				t.Errorf("parseEvents = %v, want invalid", err)
			}
			return
		}
		again, err := parseEvents(appendEvents(nil, events))
		if err != nil || !slices.Equal(again, events) {
			t.Errorf("written and read again: %v, %v; want %v", again, err, events)
		}
	})
}
