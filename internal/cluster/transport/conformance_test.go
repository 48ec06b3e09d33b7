package transport_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/transport"
)

// fabric makes the links of one implementation. One suite holds for all of them.
type fabric interface {
	// open makes the link of a node; addr "" draws an address.
	open(t *testing.T, id cluster.NodeID, addr string) transport.Link
}

// host is a node whose behaviour a test sets.
type host struct {
	id     cluster.NodeID
	epoch  cluster.Epoch
	admit  func(cluster.Stamp) error
	handle func(ctx context.Context, from cluster.NodeID, r *transport.Incoming) (*transport.Response, error)

	mu       sync.Mutex
	admitted []cluster.Stamp
	observed []cluster.Stamp
	handled  int
}

func (h *host) Stamp() cluster.Stamp {
	return cluster.Stamp{From: h.id, Epoch: h.epoch, Clock: cluster.Timestamp{Time: int64(h.id), Node: h.id}, Load: cluster.Load{Pending: int(h.id), Sole: true}}
}

func (h *host) Admit(_ context.Context, s cluster.Stamp, _ string) error {
	h.mu.Lock()
	h.admitted = append(h.admitted, s)
	h.mu.Unlock()
	if h.admit != nil {
		return h.admit(s)
	}
	return nil
}

func (h *host) Observe(s cluster.Stamp) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.observed = append(h.observed, s)
}

func (h *host) Handle(ctx context.Context, from cluster.NodeID, r *transport.Incoming) (*transport.Response, error) {
	h.mu.Lock()
	h.handled++
	h.mu.Unlock()
	if h.handle != nil {
		return h.handle(ctx, from, r)
	}
	return echo(ctx, from, r)
}

func (h *host) counts() (admitted, observed, handled int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.admitted), len(h.observed), h.handled
}

// echo answers with what came.
func echo(_ context.Context, from cluster.NodeID, r *transport.Incoming) (*transport.Response, error) {
	response := &transport.Response{Payload: fmt.Appendf(nil, "%s from %s: %s", r.Method, from, r.Payload)}
	if r.Body != nil {
		data, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		response.Body, response.BodySize = io.NopCloser(bytes.NewReader(data)), int64(len(data))
	}
	return response, nil
}

const (
	idA cluster.NodeID = 0xa
	idB cluster.NodeID = 0xb
)

// pair is two nodes that serve: a calls, b answers.
type pair struct {
	a, b   *host
	la, lb transport.Link
}

func (p *pair) endpoint() cluster.Endpoint { return cluster.Endpoint{ID: idB, Addr: p.lb.Addr()} }

func (p *pair) call(ctx context.Context, r *transport.Request) (*transport.Response, error) {
	return p.la.Call(ctx, p.endpoint(), r)
}

func closeLink(t *testing.T, l transport.Link) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := l.Close(ctx); err != nil {
		t.Errorf("Close() = %v", err)
	}
}

func newPair(t *testing.T, f fabric) *pair {
	p := &pair{a: &host{id: idA}, b: &host{id: idB, epoch: cluster.Epoch{Counter: 7, Coordinator: idB}}}
	p.la, p.lb = f.open(t, idA, ""), f.open(t, idB, "")
	p.la.Serve(p.a)
	p.lb.Serve(p.b)
	t.Cleanup(func() {
		closeLink(t, p.la)
		closeLink(t, p.lb)
	})
	return p
}

// conform runs the suite.
func conform(t *testing.T, run func(t *testing.T, f func(t *testing.T, f fabric))) {
	for _, test := range []struct {
		name string
		f    func(t *testing.T, f fabric)
	}{
		{"Exchange", conformExchange},
		{"Stamps", conformStamps},
		{"Errors", conformErrors},
		{"M4_RefusedBeforeExecuted", conformRefusal},
		{"Bodies", conformBodies},
		{"BodyUnread", conformUnread},
		{"BodyBreaksOff", conformBroken},
		{"Limits", conformLimits},
		{"Unreachable", conformUnreachable},
		{"Deadline", conformDeadline},
		{"Cancel", conformCancel},
		{"Close", conformClose},
		{"Restart", conformRestart},
		{"Many", conformMany},
	} {
		t.Run(test.name, func(t *testing.T) { run(t, test.f) })
	}
}

func conformExchange(t *testing.T, f fabric) {
	p := newPair(t, f)
	for _, to := range []cluster.Endpoint{p.endpoint(), {Addr: p.lb.Addr()}} {
		got, err := p.la.Call(t.Context(), to, &transport.Request{Method: "greet", Payload: []byte("hello")})
		if err != nil {
			t.Fatalf("Call(%v) = %v", to, err)
		}
		if want := "greet from 000000000000000a: hello"; string(got.Payload) != want || got.From != idB || got.Body != nil {
			t.Errorf("Call(%v) = %q from %v, body %v; want %q from %v, no body", to, got.Payload, got.From, got.Body, want, idB)
		}
	}
	if _, err := p.la.Call(t.Context(), cluster.Endpoint{ID: idA, Addr: p.la.Addr()}, &transport.Request{Method: "self"}); err != nil {
		t.Errorf("call of oneself = %v", err)
	}
}

func conformStamps(t *testing.T, f fabric) {
	p := newPair(t, f)
	if _, err := p.call(t.Context(), &transport.Request{Method: "m"}); err != nil {
		t.Fatal(err)
	}
	if len(p.b.admitted) != 1 || p.b.admitted[0] != p.a.Stamp() {
		t.Errorf("admitted %+v, want %+v", p.b.admitted, p.a.Stamp())
	}
	if len(p.a.observed) != 1 || p.a.observed[0] != p.b.Stamp() {
		t.Errorf("observed %+v, want %+v", p.a.observed, p.b.Stamp())
	}
}

func conformErrors(t *testing.T, f fabric) {
	p := newPair(t, f)
	for kind := cluster.KindInternal; kind <= cluster.KindLimit; kind++ {
		p.b.handle = func(context.Context, cluster.NodeID, *transport.Incoming) (*transport.Response, error) {
			return nil, cluster.Errorf(kind, "do it", "because %d", kind)
		}
		for _, large := range []bool{false, true} {
			_, err := p.call(t.Context(), &transport.Request{Method: "m", Large: large})
			if cluster.KindOf(err) != kind || !strings.Contains(err.Error(), fmt.Sprintf("do it: because %d", kind)) {
				t.Errorf("error of kind %v came as %v: %v", kind, cluster.KindOf(err), err)
			}
			if s, ok := transport.AnswererStamp(err); !ok || s != p.b.Stamp() {
				t.Errorf("AnswererStamp(%v) = %v, %v; want %v", err, s, ok, p.b.Stamp())
			}
			if transport.Unreachable(err) {
				t.Errorf("Unreachable(%v) = true of an answer", err)
			}
		}
	}
	p.b.handle = func(context.Context, cluster.NodeID, *transport.Incoming) (*transport.Response, error) {
		return nil, errors.New(strings.Repeat("ä", transport.ErrorTextMax))
	}
	_, err := p.call(t.Context(), &transport.Request{Method: "m"})
	var remote *transport.RemoteError
	if !errors.As(err, &remote) || len(remote.Text) != transport.ErrorTextMax {
		t.Errorf("long error text came as %d bytes, want %d", len(remote.Text), transport.ErrorTextMax)
	}
	if _, observed, _ := p.a.counts(); observed != 2*int(cluster.KindLimit+1)+1 {
		t.Errorf("observed %d stamps, want one for each error answer", observed)
	}
}

func conformRefusal(t *testing.T, f fabric) {
	p := newPair(t, f)
	p.b.admit = func(s cluster.Stamp) error {
		return cluster.Errorf(cluster.KindStale, "admit", "epoch %v is over", s.Epoch)
	}
	for _, r := range []*transport.Request{
		{Method: "m"}, {Method: "m", Large: true}, {Method: "m", Body: bytes.NewReader(make([]byte, 1<<20))},
	} {
		_, err := p.call(t.Context(), r)
		if s, ok := transport.AnswererStamp(err); !cluster.IsKind(err, cluster.KindStale) || !ok || s.Epoch != p.b.epoch {
			t.Errorf("refused call = %v, stamp %v; want stale epoch with the answerer's", err, s)
		}
	}
	if admitted, _, handled := p.b.counts(); handled != 0 || admitted != 3 {
		t.Errorf("%d of %d refused calls were executed (M4)", handled, admitted)
	}
}

// pattern is a body that shows where a part of it is misplaced.
func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i ^ i>>8 ^ i>>16)
	}
	return b
}

func conformBodies(t *testing.T, f fabric) {
	p := newPair(t, f)
	for _, size := range []int{0, 1, 5000, transport.InlineBodyMax, transport.InlineBodyMax + 1, 1<<20 + 3} {
		for _, large := range []bool{false, true} {
			if !large && size > transport.InlineBodyMax {
				continue
			}
			want := pattern(size)
			got, err := p.call(t.Context(), &transport.Request{Method: "m", Payload: []byte("x"), Body: bytes.NewReader(want), Large: large})
			if err != nil {
				t.Fatalf("body of %d, large %v: %v", size, large, err)
			}
			data, err := io.ReadAll(got.Body)
			if err != nil || !bytes.Equal(data, want) || got.BodySize != int64(size) {
				t.Errorf("body of %d, large %v: %d bytes of %d, %v", size, large, len(data), got.BodySize, err)
			}
			var copied bytes.Buffer
			if n, err := io.Copy(&copied, got.Body); n != 0 || err != nil {
				t.Errorf("body of %d: after its end %d bytes, %v", size, n, err)
			}
			if err := got.Body.Close(); err != nil {
				t.Errorf("body of %d: Close() = %v", size, err)
			}
		}
	}
	got, err := p.call(t.Context(), &transport.Request{Method: "m", Body: bytes.NewReader(pattern(1 << 20)), Large: true})
	if err != nil {
		t.Fatal(err)
	}
	var copied bytes.Buffer
	if _, err := io.Copy(&copied, got.Body); err != nil || !bytes.Equal(copied.Bytes(), pattern(1<<20)) {
		t.Errorf("copied %d bytes, %v", copied.Len(), err)
	}
	if err := got.Body.Close(); err != nil {
		t.Error(err)
	}
	_, err = p.call(t.Context(), &transport.Request{Method: "m", Body: bytes.NewReader(pattern(1 << 20))})
	if !cluster.IsKind(err, cluster.KindInvalid) {
		t.Errorf("large answer to a request that is not Large = %v, want kind invalid", err)
	}
}

func conformUnread(t *testing.T, f fabric) {
	p := newPair(t, f)
	p.b.handle = func(context.Context, cluster.NodeID, *transport.Incoming) (*transport.Response, error) {
		return nil, nil // reads nothing, says nothing
	}
	got, err := p.call(t.Context(), &transport.Request{Method: "m", Body: bytes.NewReader(make([]byte, 8<<20))})
	if err != nil || len(got.Payload) != 0 || got.Body != nil {
		t.Fatalf("Call = %+v, %v; want an empty answer", got, err)
	}
	p.b.handle = func(context.Context, cluster.NodeID, *transport.Incoming) (*transport.Response, error) {
		return &transport.Response{Body: io.NopCloser(bytes.NewReader(make([]byte, 8<<20))), BodySize: 8 << 20}, nil
	}
	if got, err = p.call(t.Context(), &transport.Request{Method: "m", Large: true}); err != nil {
		t.Fatal(err)
	}
	if err := got.Body.Close(); err != nil { // read nothing
		t.Error(err)
	}
	if n, err := got.Body.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("Read after Close = %d, %v; want an error", n, err)
	}
}

// closeCounter counts how often a body was closed.
type closeCounter struct {
	io.Reader
	closed chan struct{}
}

func (c closeCounter) Close() error {
	c.closed <- struct{}{}
	return nil
}

func conformBroken(t *testing.T, f fabric) {
	p := newPair(t, f)
	closed := make(chan struct{}, 1)
	answer := func(has, says int64) {
		p.b.handle = func(context.Context, cluster.NodeID, *transport.Incoming) (*transport.Response, error) {
			return &transport.Response{Body: closeCounter{bytes.NewReader(pattern(int(has))), closed}, BodySize: says}, nil
		}
	}
	answer(100, 101)
	_, err := p.call(t.Context(), &transport.Request{Method: "m", Large: true})
	if !cluster.IsKind(err, cluster.KindInternal) || !strings.Contains(err.Error(), io.ErrUnexpectedEOF.Error()) {
		t.Errorf("small body that breaks off = %v, want an internal error", err)
	}
	<-closed
	answer(1<<20-1, 1<<20)
	got, err := p.call(t.Context(), &transport.Request{Method: "m", Large: true})
	if err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(io.Discard, got.Body)
	if n >= 1<<20 || !cluster.IsKind(err, cluster.KindUnavailable) {
		t.Errorf("large body that breaks off = %d bytes, %v; want an unavailable error", n, err)
	}
	if err := got.Body.Close(); err != nil {
		t.Error(err)
	}
	<-closed
	answer(1<<20, 1<<20)
	if _, err := p.call(t.Context(), &transport.Request{Method: "m"}); !cluster.IsKind(err, cluster.KindInvalid) {
		t.Errorf("large body unasked = %v, want kind invalid", err)
	}
	<-closed
	_, err = p.call(t.Context(), &transport.Request{Method: "m", Body: shortBody{}})
	if !cluster.IsKind(err, cluster.KindInternal) || transport.Unreachable(err) {
		t.Errorf("request body that breaks off = %v, want an internal error", err)
	}
}

// shortBody says that it is larger than it is.
type shortBody struct{}

func (shortBody) Size() int64 { return 1 << 20 }

func (shortBody) ReadAt(p []byte, off int64) (int, error) {
	return bytes.NewReader(make([]byte, 300<<10)).ReadAt(p, off)
}

func conformLimits(t *testing.T, f fabric) {
	p := newPair(t, f)
	for name, r := range map[string]*transport.Request{
		"no method":     {},
		"long method":   {Method: strings.Repeat("m", transport.MethodLengthMax+1)},
		"large payload": {Method: "m", Payload: make([]byte, transport.PayloadMax+1)},
		"large body":    {Method: "m", Body: hugeBody{}},
	} {
		if _, err := p.call(t.Context(), r); !cluster.IsKind(err, cluster.KindLimit) {
			t.Errorf("%s: %v, want kind limit", name, err)
		}
	}
	got, err := p.call(t.Context(), &transport.Request{Method: "m", Payload: make([]byte, transport.PayloadMax-100), Body: bytes.NewReader(make([]byte, transport.InlineBodyMax))})
	if err != nil || len(got.Payload) < transport.PayloadMax-100 || got.BodySize != transport.InlineBodyMax {
		t.Errorf("largest message: %v", err)
	}
	p.b.handle = func(context.Context, cluster.NodeID, *transport.Incoming) (*transport.Response, error) {
		return &transport.Response{Payload: make([]byte, transport.PayloadMax+1)}, nil
	}
	if _, err := p.call(t.Context(), &transport.Request{Method: "m"}); !cluster.IsKind(err, cluster.KindLimit) {
		t.Errorf("large payload in the answer: %v, want kind limit", err)
	}
}

type hugeBody struct{ *bytes.Reader }

func (hugeBody) Size() int64 { return transport.BodyMax + 1 }

func conformUnreachable(t *testing.T, f fabric) {
	p := newPair(t, f)
	gone := f.open(t, 0xc, "")
	addr := gone.Addr()
	if _, err := gone.Call(t.Context(), p.endpoint(), &transport.Request{Method: "m"}); !cluster.IsKind(err, cluster.KindUnavailable) || transport.Unreachable(err) {
		t.Errorf("call before Serve = %v, want unavailable, and no fault of the peer's", err)
	}
	closeLink(t, gone)
	for name, to := range map[string]cluster.Endpoint{
		"nobody there":       {ID: 0xc, Addr: addr},
		"stranger not there": {Addr: addr},
		"another node":       {ID: 0xc, Addr: p.lb.Addr()},
	} {
		for _, large := range []bool{false, true} {
			start := time.Now()
			_, err := p.la.Call(t.Context(), to, &transport.Request{Method: "m", Large: large})
			if !cluster.IsKind(err, cluster.KindUnavailable) || !transport.Unreachable(err) {
				t.Errorf("%s: %v, want unreachable", name, err)
			}
			if took := time.Since(start); took > 2*time.Second {
				t.Errorf("%s: told after %v, want at once", name, took)
			}
			if _, ok := transport.AnswererStamp(err); ok {
				t.Errorf("%s: %v has a stamp", name, err)
			}
		}
	}
	if _, _, handled := p.b.counts(); handled != 0 {
		t.Errorf("a call to another node was executed")
	}
}

// block answers when the call's context ends.
func block(entered chan<- struct{}) func(context.Context, cluster.NodeID, *transport.Incoming) (*transport.Response, error) {
	return func(ctx context.Context, _ cluster.NodeID, _ *transport.Incoming) (*transport.Response, error) {
		entered <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	}
}

// early is a context that tells of a deadline before the one at which it ends.
type early struct {
	context.Context
	deadline time.Time
}

func (e early) Deadline() (time.Time, bool) { return e.deadline, true }

func conformDeadline(t *testing.T, f fabric) {
	p := newPair(t, f)
	for _, large := range []bool{false, true} { // connected, so that the time is not spent on that
		if _, err := p.call(t.Context(), &transport.Request{Method: "m", Large: large}); err != nil {
			t.Fatal(err)
		}
	}
	entered := make(chan struct{}, 2)
	p.b.handle = block(entered)
	for _, large := range []bool{false, true} {
		// Long enough that a busy machine has sent the call before it is over.
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		_, err := p.call(ctx, &transport.Request{Method: "m", Large: large})
		cancel()
		if !cluster.IsKind(err, cluster.KindUnavailable) || !transport.Unreachable(err) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("call past its deadline = %v, want unreachable: deadline exceeded", err)
		}
		<-entered
	}
	// The peer's clock is ahead of the caller's: that its time is over is still no answer of its own.
	for _, large := range []bool{false, true} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		_, err := p.call(early{ctx, time.Now().Add(time.Second / 2)}, &transport.Request{Method: "m", Large: large})
		cancel()
		if !cluster.IsKind(err, cluster.KindUnavailable) || !transport.Unreachable(err) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("call whose peer ran out of time first = %v, want unreachable: deadline exceeded", err)
		}
		<-entered
	}
	// No time left at all: nothing is sent, and it is no fault of the peer's.
	ctx, cancel := context.WithDeadline(t.Context(), time.Unix(1, 0))
	defer cancel()
	_, err := p.call(ctx, &transport.Request{Method: "m"})
	if !cluster.IsKind(err, cluster.KindUnavailable) || transport.Unreachable(err) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("call without time = %v, want unavailable: deadline exceeded, and no fault of the peer's", err)
	}
	if admitted, _, _ := p.b.counts(); admitted != 6 {
		t.Errorf("%d calls arrived, want 6", admitted)
	}
}

func conformCancel(t *testing.T, f fabric) {
	p := newPair(t, f)
	entered, ended := make(chan struct{}, 1), make(chan struct{})
	blocked := block(entered)
	p.b.handle = func(ctx context.Context, from cluster.NodeID, r *transport.Incoming) (*transport.Response, error) {
		defer func() { ended <- struct{}{} }()
		return blocked(ctx, from, r)
	}
	for _, large := range []bool{false, true} {
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			<-entered
			cancel()
		}()
		_, err := p.call(ctx, &transport.Request{Method: "m", Large: large})
		if !cluster.IsKind(err, cluster.KindUnavailable) || transport.Unreachable(err) || !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled call = %v, want unavailable, and no fault of the peer's", err)
		}
		<-ended // the receiver learns of it
	}
}

func conformClose(t *testing.T, f fabric) {
	p := newPair(t, f)
	entered, release := make(chan struct{}, 1), make(chan struct{})
	p.b.handle = func(ctx context.Context, from cluster.NodeID, r *transport.Incoming) (*transport.Response, error) {
		entered <- struct{}{}
		<-release
		return echo(ctx, from, r)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := p.call(t.Context(), &transport.Request{Method: "m"}); err != nil {
			t.Errorf("call under way at Close = %v, want its answer", err)
		}
	})
	<-entered
	wg.Go(func() { closeLink(t, p.lb) })
	close(release)
	wg.Wait()
	if _, err := p.call(t.Context(), &transport.Request{Method: "m"}); !transport.Unreachable(err) {
		t.Errorf("call after Close = %v, want unreachable", err)
	}
	closeLink(t, p.lb) // idempotent

	p = newPair(t, f)
	p.b.handle = block(entered)
	wg.Go(func() {
		if _, err := p.call(t.Context(), &transport.Request{Method: "m"}); err == nil {
			t.Errorf("call cut by Close = nil, want an error")
		}
	})
	<-entered
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := p.lb.Close(ctx); err != nil { // does not wait
		t.Error(err)
	}
	wg.Wait()
}

func conformRestart(t *testing.T, f fabric) {
	p := newPair(t, f)
	if _, err := p.call(t.Context(), &transport.Request{Method: "m"}); err != nil {
		t.Fatal(err)
	}
	addr := p.lb.Addr()
	closeLink(t, p.lb)
	if _, err := p.call(t.Context(), &transport.Request{Method: "m"}); !transport.Unreachable(err) {
		t.Fatalf("call of a stopped node = %v, want unreachable", err)
	}
	p.lb = f.open(t, idB, addr)
	p.lb.Serve(p.b)
	// The peer that was started again calls first: it is called back at once.
	if _, err := p.lb.Call(t.Context(), cluster.Endpoint{ID: idA, Addr: p.la.Addr()}, &transport.Request{Method: "m"}); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	for {
		_, err := p.call(t.Context(), &transport.Request{Method: "m"})
		if err == nil {
			break
		}
		if time.Since(start) > time.Second {
			t.Fatalf("restarted peer not reached after %v: %v", time.Since(start), err)
		}
	}

	// A node that has moved is found at its new address.
	closeLink(t, p.lb)
	p.lb = f.open(t, idB, "")
	p.lb.Serve(p.b)
	if _, err := p.call(t.Context(), &transport.Request{Method: "m"}); err != nil {
		t.Errorf("call of a node that has moved = %v", err)
	}
}

func conformMany(t *testing.T, f fabric) {
	p := newPair(t, f)
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			for j := range 20 {
				body := pattern(i*j + 1)
				payload := fmt.Sprintf("%d %d", i, j)
				got, err := p.call(t.Context(), &transport.Request{Method: "m", Payload: []byte(payload), Body: bytes.NewReader(body)})
				if err != nil {
					t.Errorf("call %s: %v", payload, err)
					return
				}
				data, err := io.ReadAll(got.Body)
				if err != nil || !bytes.Equal(data, body) || !strings.HasSuffix(string(got.Payload), ": "+payload) {
					t.Errorf("call %s: %q, %v", payload, got.Payload, err)
				}
				_ = got.Body.Close()
			}
		})
	}
	wg.Wait()
}
