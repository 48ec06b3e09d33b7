package delivery

import (
	"bytes"
	"context"
	"testing"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/clustertest"
)

func BenchmarkDeliver(b *testing.B) {
	c := clustertest.New(3, mail.Types())
	p := &people{node: c.Node(1)}
	d, err := New(nullStore{c.Node(1)}, p, Config{})
	if err != nil {
		b.Fatal(err)
	}
	a := mail.Address{Local: "a", Domain: "x.test"}
	message := bytes.NewReader(make([]byte, 4700))
	b.ReportAllocs()
	for b.Loop() {
		r, err := d.Verify(context.Background(), mail.Address{}, a, 0)
		if err != nil {
			b.Fatal(err)
		}
		if err := d.Deliver(context.Background(), mail.Envelope{Recipients: []mail.Recipient{r}}, message)[0]; err != nil {
			b.Fatal(err)
		}
	}
}

// nullStore stores nothing, at once: what is measured is the proxy.
type nullStore struct{ *clustertest.Node }

func (nullStore) Update(context.Context, cluster.Update, cluster.Body) error { return nil }
