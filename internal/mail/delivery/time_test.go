package delivery

import (
	"context"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/clustertest"
)

// blank is a body of so many NULs.
type blank int64

func (b blank) Size() int64 { return int64(b) }
func (b blank) ReadAt(p []byte, at int64) (int, error) {
	n := int(min(int64(len(p)), max(0, int64(b)-at)))
	clear(p[:n])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// sluggish is a node whose updates take their time for each octet, and are given up with their context.
type sluggish struct {
	*clustertest.Node
	rate int64 // octets a second
}

func (n sluggish) Update(ctx context.Context, u cluster.Update, body cluster.Body) error {
	select {
	case <-time.After(time.Duration(u.Object.Size) * time.Second / time.Duration(n.rate)):
		return n.Node.Update(ctx, u, body)
	case <-ctx.Done():
		return cluster.Errorf(cluster.KindUnavailable, "update", "%w", ctx.Err())
	}
}

// A large message has the time that an attempt to store it may take: the same message would fail again each time.
func TestLargeMessageHasTime(t *testing.T) {
	const size = 80 << 20 // over a minute at the least rate
	for name, deliver := range map[string]func(ctx context.Context, w *world, d *Delivery) error{
		"Deliver": func(ctx context.Context, w *world, d *Delivery) error {
			return d.Deliver(ctx, w.envelope(t, "a@x.test"), blank(size))[0]
		},
		"DeliverAll": func(ctx context.Context, w *world, d *Delivery) error {
			return d.DeliverAll(ctx, w.envelope(t, "a@x.test"), blank(size))[0]
		},
		"Put": func(ctx context.Context, _ *world, d *Delivery) error {
			_, err := d.Put(ctx, "a@x.test", mail.NewMessageID(), mail.MessageAttr{}, blank(size))
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, Config{})
				d, err := New(sluggish{w.Node(1), bytesPerSecondMin}, w.people, Config{})
				if err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				if err := deliver(t.Context(), w, d); err != nil {
					t.Errorf("a message of %d MiB at the least rate = %v after %v", size>>20, err, time.Since(began))
				}
			})
		})
	}
}

func TestTimeFor(t *testing.T) {
	tests := []struct {
		size  int64
		users int
		want  time.Duration
	}{
		{0, 1, time.Minute},
		{5 << 10, 100, time.Minute},
		{50 << 20, 1, 110 * time.Second},
		{50 << 20, 8, 110 * time.Second},
		{50 << 20, 9, 160 * time.Second},
		{50 << 20, 1000, 9 * time.Minute},
		{1 << 30, 1, 9 * time.Minute}, // the client waits ten
	}
	d := newWorld(t, Config{}).Delivery
	for _, tt := range tests {
		if got := d.timeFor(tt.size, tt.users); got != tt.want {
			t.Errorf("time for %d octets to %d users = %v, want %v", tt.size, tt.users, got, tt.want)
		}
	}
	patient := newWorld(t, Config{Timeout: time.Hour}).Delivery
	if got := patient.timeFor(1<<30, 1); got != time.Hour {
		t.Errorf("time with a Timeout of an hour = %v", got)
	}
}
