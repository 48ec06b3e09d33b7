package bench

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"porcupine/internal/bench/client"
)

// imapRun is one load under way.
type imapRun struct {
	cfg     IMAPConfig
	mu      sync.Mutex
	report  IMAPReport
	turn    atomic.Int64
	message []byte
}

// RunIMAP loads a service. An error says that there was no measurement; operations that failed are in the report.
func RunIMAP(ctx context.Context, cfg IMAPConfig) (IMAPReport, error) {
	if err := cfg.Validate(); err != nil {
		return IMAPReport{}, err
	}
	r := &imapRun{cfg: cfg, message: imapMessage(cfg.Seed, cfg.Size)}
	r.report.Load = cfg.Load
	if err := r.prepare(ctx); err != nil {
		return IMAPReport{}, fmt.Errorf("prepare the folders: %w", err)
	}
	began := time.Now()
	if cfg.Load == IMAPIdle {
		if err := r.idle(ctx); err != nil {
			return IMAPReport{}, err
		}
	} else {
		until := began.Add(cfg.Duration)
		var workers sync.WaitGroup
		for i := range cfg.Workers {
			workers.Go(func() { r.work(ctx, i, until) })
		}
		workers.Wait()
	}
	r.report.Took = time.Since(began)
	r.report.TookMS = ms(r.report.Took)
	r.report.PerSec = float64(r.report.Messages) / r.report.Took.Seconds()
	return r.report, nil
}

// imapMessage makes a message of that size: a header, a text, an attachment in base64.
func imapMessage(seed uint64, size int) []byte {
	rng := rand.New(rand.NewPCG(seed, 0))
	var b strings.Builder
	fmt.Fprintf(&b, "From: Bench <bench@sender.example>\r\nTo: user@example.test\r\nSubject: message %08x of the load\r\nDate: Mon, 2 Nov 2026 03:04:05 +0000\r\n"+
		"Message-ID: <%016x@sender.example>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"part\"\r\n\r\n--part\r\nContent-Type: text/plain\r\n\r\n", rng.Uint32(), rng.Uint64())
	const words = "the quick brown fox jumps over a lazy dog and comes home before it is dark outside again\r\n"
	const rest = "--part\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA\r\n--part--\r\n"
	for b.Len()+len(words)+len(rest) <= size {
		b.WriteString(words)
	}
	b.WriteString(rest)
	return []byte(b.String())
}

func (r *imapRun) user(i int) string { return fmt.Sprintf(r.cfg.UserPattern, i%r.cfg.Users) }

// login opens a session.
func (r *imapRun) login(ctx context.Context, user string) (*client.IMAP, error) {
	t := client.Target{Addr: r.cfg.Addrs[int(r.turn.Add(1))%len(r.cfg.Addrs)], Timeout: r.cfg.Timeout, StartTLS: r.cfg.TLS == TLSStart}
	if r.cfg.TLS != TLSNone {
		t.TLS = &tls.Config{InsecureSkipVerify: true} //nolint:gosec // a load generator for one's own service
	}
	c, err := client.DialIMAP(ctx, t)
	if err != nil {
		return nil, err
	}
	if err := c.Login(user, r.cfg.Password); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// work repeats the operation until then; what it has begun it ends, so that there is a figure for what takes longer. A
// session that broke is opened anew.
func (r *imapRun) work(ctx context.Context, worker int, until time.Time) {
	rng := rand.New(rand.NewPCG(r.cfg.Seed, uint64(worker)+1))
	var c *client.IMAP
	defer func() {
		if c != nil {
			_ = c.Close() // the load is over
		}
	}()
	for ctx.Err() == nil && time.Now().Before(until) {
		if r.cfg.Load == IMAPLogin {
			began := time.Now()
			err := r.storm(ctx, rng.IntN(r.cfg.Users))
			r.count(ctx, time.Since(began), 0, 0, err)
			continue
		}
		if c == nil {
			var err error
			if c, err = r.open(ctx, worker); err != nil {
				r.count(ctx, 0, 0, 0, err)
				c = nil
				continue
			}
		}
		began := time.Now()
		messages, bytes, err := r.operate(c, rng)
		r.count(ctx, time.Since(began), messages, bytes, err)
		if err != nil {
			_ = c.Close() // the first error is the one to tell
			c = nil
		}
	}
}

// storm is one login of a storm.
func (r *imapRun) storm(ctx context.Context, user int) error {
	c, err := r.login(ctx, r.user(user))
	if err != nil {
		return err
	}
	if _, err := c.Select("INBOX"); err != nil {
		return errors.Join(err, c.Close())
	}
	return c.Logout()
}

// open opens a worker's session.
func (r *imapRun) open(ctx context.Context, worker int) (*client.IMAP, error) {
	count, filled := r.cfg.folders()
	c, err := r.login(ctx, r.user(worker%count))
	if err != nil {
		return nil, err
	}
	if filled && r.cfg.Load != IMAPSelect {
		if _, err := c.Select(benchFolder); err != nil {
			return nil, errors.Join(err, c.Close())
		}
	}
	return c, nil
}

// count counts an operation. One that the end of the load cut off is none.
func (r *imapRun) count(ctx context.Context, took time.Duration, messages, bytes int64, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case err == nil:
		r.report.Done++
		r.report.Messages += messages
		r.report.Bytes += bytes
		r.report.Latency.Record(took)
	case ctx.Err() == nil:
		r.report.Failed++
		r.report.Example = err.Error()
	}
}

// idle has Workers sessions of the first user idle in INBOX, stores messages for Duration, one after the other, and
// measures how long it takes until all sessions have heard of each.
func (r *imapRun) idle(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	sender, err := r.login(ctx, r.user(0))
	if err != nil {
		return err
	}
	defer func() { _ = sender.Close() }() // the load is over
	f, err := sender.Select("INBOX")
	if err != nil {
		return err
	}
	heard := make(chan int64, r.cfg.Workers)
	ended := make(chan error, r.cfg.Workers)
	var sessions sync.WaitGroup
	defer sessions.Wait()
	defer cancel()
	for range r.cfg.Workers {
		c, err := r.login(ctx, r.user(0))
		if err == nil {
			_, err = c.Select("INBOX")
		}
		if err != nil {
			return fmt.Errorf("open an idle session: %w", err)
		}
		sessions.Go(func() {
			err := c.Idle(func(n int64) bool {
				select {
				case heard <- n:
					return true
				case <-ctx.Done():
					return false
				}
			})
			ended <- err
			_ = c.Close() // the load is over
		})
	}
	for until := time.Now().Add(r.cfg.Duration); time.Now().Before(until); {
		f.Exists++
		began := time.Now()
		if err := sender.Append("INBOX", r.message); err != nil {
			r.count(ctx, 0, 0, 0, err)
			return nil
		}
		if err := r.allHear(ctx, f.Exists, heard, ended); err != nil {
			r.count(ctx, 0, 0, 0, err)
			return nil
		}
		r.count(ctx, time.Since(began), int64(r.cfg.Workers), 0, nil)
	}
	return nil
}

// allHear waits until every idle session has been told of that many messages.
func (r *imapRun) allHear(ctx context.Context, exists int64, heard <-chan int64, ended <-chan error) error {
	timer := time.NewTimer(r.cfg.Timeout)
	defer timer.Stop()
	for missing := r.cfg.Workers; missing > 0; {
		select {
		case n := <-heard:
			if n >= exists {
				missing--
			}
		case err := <-ended:
			return fmt.Errorf("an idle session ended: %w", err)
		case <-timer.C:
			return fmt.Errorf("%d of %d idle sessions heard nothing of message %d for %v", missing, r.cfg.Workers, exists, r.cfg.Timeout)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}
