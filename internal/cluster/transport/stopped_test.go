package transport

import (
	"bytes"
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"porcupine/internal/cluster"
)

// frozenWay is a way to a node that a test can freeze, as if the node's process were stopped: the
// kernel still takes connections, and a little of what is sent on them.
type frozenWay struct {
	ln     net.Listener
	target string
	work   sync.WaitGroup

	mu    sync.Mutex
	gate  chan struct{} // closed: bytes pass
	conns []net.Conn
}

// smallBuffer makes the kernel take little, so that a connection is full soon.
const smallBuffer = 8 << 10

func newWay(t *testing.T, target string) *frozenWay {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &frozenWay{ln: ln, target: target, gate: make(chan struct{})}
	close(w.gate)
	w.work.Go(w.accept)
	t.Cleanup(func() {
		_ = ln.Close()
		w.thaw()
		w.cut()
		w.work.Wait()
	})
	return w
}

func (w *frozenWay) accept() {
	for {
		in, err := w.ln.Accept()
		if err != nil {
			return
		}
		_ = in.(*net.TCPConn).SetReadBuffer(smallBuffer)
		out, err := net.Dial("tcp", w.target)
		if err != nil {
			_ = in.Close()
			continue
		}
		w.mu.Lock()
		w.conns = append(w.conns, in, out)
		w.mu.Unlock()
		w.work.Go(func() { w.pass(out, in) })
		w.work.Go(func() { w.pass(in, out) })
	}
}

func (w *frozenWay) pass(to, from net.Conn) {
	defer to.Close()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		w.mu.Lock()
		gate := w.gate
		w.mu.Unlock()
		<-gate
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (w *frozenWay) freeze() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gate = make(chan struct{})
}

func (w *frozenWay) thaw() {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case <-w.gate:
	default:
		close(w.gate)
	}
}

// cut resets all connections, as the end of the process would.
func (w *frozenWay) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.conns {
		_ = c.(*net.TCPConn).SetLinger(0)
		_ = c.Close()
	}
	w.conns = nil
}

// TestStoppedPeer: calls of a peer that is stopped fail by their deadlines, all of them, also when
// its connections are full; calls of others go on; and it is reached again once it runs, was
// started anew, or has moved.
func TestStoppedPeer(t *testing.T) {
	i := newIdentity(t, 1) // the same identity three times: the peer proves to be node 1
	stopped := serve(t, i, new(quietHost))
	healthy := serve(t, i, new(quietHost))
	caller, err := Open(Config{Credentials: i, Listen: "127.0.0.1:0", Dial: func(ctx context.Context, addr string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
		if err == nil {
			err = c.(*net.TCPConn).SetWriteBuffer(smallBuffer)
		}
		return c, err
	}})
	if err != nil {
		t.Fatal(err)
	}
	caller.Serve(&quietHost{stamp: cluster.Stamp{From: 1}})
	t.Cleanup(func() { _ = caller.Close(context.Background()) })
	way := newWay(t, stopped.Addr())
	peer := cluster.Endpoint{ID: 1, Addr: way.ln.Addr().String()}
	other := cluster.Endpoint{Addr: healthy.Addr()} // a stranger: another line than node 1's
	call := func(to cluster.Endpoint, within time.Duration, r *Request) (time.Duration, error) {
		ctx, cancel := context.WithTimeout(context.Background(), within)
		defer cancel()
		start := time.Now()
		response, err := caller.Call(ctx, to, r)
		if err == nil && response.Body != nil {
			_, err = io.Copy(io.Discard, response.Body)
			_ = response.Body.Close()
		}
		return time.Since(start), err
	}
	reached := func(to cluster.Endpoint, why string) {
		t.Helper()
		for _, body := range []cluster.Body{nil, bytes.NewReader(nil)} { // on both lines
			start := time.Now()
			for {
				_, err := call(to, 5*time.Second, &Request{Method: "m", Body: body})
				if err == nil {
					break
				}
				if time.Since(start) > 4*time.Second {
					t.Fatalf("%s: not reached: %v", why, err)
				}
			}
		}
	}
	const slack = 4 * time.Second // for a loaded machine; a full connection is closed in 5 s
	stuck := func(why string, within time.Duration, r func() *Request) {
		var calls sync.WaitGroup
		for range 6 {
			calls.Go(func() {
				took, err := call(peer, within, r())
				if !Unreachable(err) || took > within+slack {
					t.Errorf("%s: call of a stopped peer = %v after %v, want unreachable after %v", why, err, took, within)
				}
			})
		}
		if took, err := call(other, slack, &Request{Method: "m"}); err != nil || took > slack {
			t.Errorf("%s: call of another node = %v after %v, want an answer", why, err, took)
		}
		calls.Wait()
	}
	reached(peer, "at first")
	reached(other, "at first")
	small := func() *Request { return &Request{Method: "m", Payload: make([]byte, 100)} }
	large := func() *Request {
		return &Request{Method: "m", Body: bytes.NewReader(make([]byte, 512<<10))}
	}

	way.freeze()
	stuck("stopped", 100*time.Millisecond, small)
	way.thaw()
	reached(peer, "continued")

	way.freeze()
	stuck("stopped and full", 200*time.Millisecond, large)
	stuck("stopped, payloads", 200*time.Millisecond, func() *Request { return &Request{Method: "m", Payload: make([]byte, 256<<10)} })
	way.cut() // killed
	way.thaw()
	reached(peer, "killed and started again")

	way.freeze()
	stuck("stopped a third time", 200*time.Millisecond, large)
	moved := cluster.Endpoint{ID: 1, Addr: stopped.Addr()}
	if took, err := call(moved, slack, &Request{Method: "m"}); err != nil {
		t.Errorf("call of a stopped peer's next address = %v after %v, want an answer", err, took)
	}
}
