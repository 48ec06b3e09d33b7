package delivery

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/clustertest"
	"porcupine/internal/mail/delivery/turnstile"
)

// stuck is a node whose updates wait for a channel to be closed.
type stuck struct {
	*clustertest.Node
	until chan struct{}
}

func (n stuck) Update(ctx context.Context, u cluster.Update, body cluster.Body) error {
	<-n.until
	return n.Node.Update(ctx, u, body)
}

// Users who copy more than a node can store keep no mail out: Put has a line of its own.
func TestPutDoesNotFillTheLineOfDeliveries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		node := stuck{w.Node(1), make(chan struct{})}
		d, err := New(node, w.people, Config{})
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for range 2 * turnstile.LimitFirst {
			wg.Go(func() {
				if _, err := d.Put(t.Context(), "a@x.test", mail.NewMessageID(), mail.MessageAttr{}, body); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if f := d.Turns().Figures(); f.Waiting != turnstile.LimitFirst {
			t.Errorf("%d wait, want %d", f.Waiting, turnstile.LimitFirst)
		}
		if !d.Turns().AdmitsConnection() || !d.Turns().AdmitsMessage() {
			t.Error("mail is kept out")
		}
		close(node.until)
		wg.Wait()
	})
}

// slow is a node whose updates take a time.
type slow struct {
	*clustertest.Node
	each time.Duration
}

func (n slow) Update(ctx context.Context, u cluster.Update, body cluster.Body) error {
	<-time.After(n.each)
	return n.Node.Update(ctx, u, body)
}

// lower plays a disk that stores one message after the other until the limit is at its least.
func lower(t *testing.T, turns *turnstile.Turnstile) {
	t.Helper()
	for turns.Figures().Limit > turnstile.LimitMinDefault {
		inside := make([]func(bool), turns.Figures().Limit)
		for i := range inside {
			var err error
			if _, inside[i], err = turns.Enter(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		<-time.After(time.Duration(len(inside)) * 150 * time.Millisecond)
		for _, leave := range inside {
			leave(true)
		}
	}
}

// mailFor offers more mail than the node can take, each of which takes about a second, until done is closed, and gives how many
// had their turn by then.
func mailFor(turns *turnstile.Turnstile, clients int, done <-chan struct{}) int64 {
	var stored atomic.Int64
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() {
			for own := time.Duration(i) * 10 * time.Millisecond; ; {
				pause := 30*time.Millisecond + own/10
				if _, leave, err := turns.Enter(context.Background()); err == nil {
					<-time.After(900*time.Millisecond + own)
					leave(true)
					stored.Add(1)
					pause = 0
				}
				select {
				case <-done:
					return
				case <-time.After(pause):
				}
			}
		})
	}
	wg.Wait()
	return stored.Load()
}

// RFC 9051 §6.3.12, §6.4.7: one message that is refused undoes the command. So a command of more messages at once than a node
// has places, with its limit at the least and its line full of mail, is stored whole, and mail keeps three turns of four.
func TestPutOfManyWhileMailFillsTheNode(t *testing.T) {
	const atOnce, messages = 3 * turnstile.LimitMinDefault, 120
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		d, err := New(slow{w.Node(1), time.Second}, w.people, Config{})
		if err != nil {
			t.Fatal(err)
		}
		lower(t, d.Turns())
		taken := make(chan int64)
		done := make(chan struct{})
		go func() { taken <- mailFor(d.Turns(), 4*turnstile.LimitMinDefault, done) }()
		<-time.After(5 * time.Second)
		putMany(t, d, messages, atOnce)
		limit := d.Turns().Figures().Limit
		close(done)
		if stored := <-taken; stored < 3*messages*9/10 || limit != turnstile.LimitMinDefault {
			t.Errorf("%d of mail were stored beside %d, want three times as many; the limit is %d", stored, messages, limit)
		}
	})
}

// putMany stores messages, so many at once, as APPEND and COPY do.
func putMany(t *testing.T, d *Delivery, messages, atOnce int) {
	t.Helper()
	var wg sync.WaitGroup
	next := make(chan struct{})
	for range atOnce {
		wg.Go(func() {
			for range next {
				if _, err := d.Put(t.Context(), "a@x.test", mail.NewMessageID(), mail.MessageAttr{}, body); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range messages {
		next <- struct{}{}
	}
	close(next)
	wg.Wait()
}
