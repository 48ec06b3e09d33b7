package store

import (
	"context"
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"porcupine/internal/cluster"
)

// What replication takes beside the messages: sets in their records and headers, and the records of
// updates until they are retired.
func TestOverhead(t *testing.T) {
	s := mustOpen(t, testConfig(vfs.NewMem()))
	const messages, owners = 20, 4
	var over []cluster.Retirement
	for n := range messages {
		u, body := put("message", userName(n%owners), fmt.Sprintf("%016x", n), int64(n+1), []byte("contents"), self, other)
		r, err := s.Apply(context.Background(), u, body)
		if err != nil {
			t.Fatal(err)
		}
		over = append(over, cluster.Retirement{ID: r.Record.ID, Timestamp: r.Record.Timestamp, Targets: r.Record.Targets})
	}
	const set = 1 + 2*8
	busy, err := s.Overhead()
	if want := int64(messages*(set+1) + owners*set); err != nil || busy.ReplicaSets != want || busy.Records != messages || busy.RecordBytes < 40*messages {
		t.Errorf("Overhead under load = %+v, %v, want %d bytes of sets and %d records", busy, err, want, messages)
	}
	if err := s.Retire(context.Background(), over); err != nil {
		t.Fatal(err)
	}
	if rest, err := s.Overhead(); err != nil || rest.Records != 0 || rest.RecordBytes != 0 || rest.ReplicaSets != busy.ReplicaSets {
		t.Errorf("Overhead at rest = %+v, %v, want no records and the same sets", rest, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
