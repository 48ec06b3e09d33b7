package transport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"porcupine/internal/cluster"
)

// SwitchPort is a node's end of a Switch. It keeps the contract of Port but for one thing: a panic
// of its host is not caught, so that a test sees it.
type SwitchPort struct {
	net  *Switch
	id   cluster.NodeID
	addr string
	life context.Context // of what is executed here
	end  context.CancelFunc

	mu      sync.Mutex
	host    Host // nil: does not serve yet
	closed  bool
	running sync.WaitGroup // requests on their way to this port or executed there; Add only with mu held and not closed
}

var _ Link = (*SwitchPort)(nil)

var errRefused = errors.New("connection refused")

// Serve begins to answer.
func (p *SwitchPort) Serve(h Host) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.host = h
}

// Addr is the address that the port was plugged in at.
func (p *SwitchPort) Addr() string { return p.addr }

// Close unplugs the node: calls to its address are refused. See Link.
func (p *SwitchPort) Close(ctx context.Context) error {
	p.net.unplug(p)
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	done := make(chan struct{})
	go func() { // ends when all that runs has been cut
		p.running.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
	p.end()
	<-done
	return nil
}

// served gives the host, and nil if the port does not serve.
func (p *SwitchPort) served() Host {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	return p.host
}

// begin counts something that will run here; false if the port does not serve.
func (p *SwitchPort) begin() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.host == nil {
		return false
	}
	p.running.Add(1)
	return true
}

// parcel is a request on its way: a copy, since it may arrive after the call is over.
type parcel struct {
	stamp   cluster.Stamp
	method  string
	payload []byte
	hasBody bool
	body    []byte
	large   bool
}

// reply is what comes back.
type reply struct {
	from     cluster.NodeID
	stamp    cluster.Stamp
	failure  *RemoteError
	response Response
}

// Call makes a call. See Caller.
func (p *SwitchPort) Call(ctx context.Context, to cluster.Endpoint, r *Request) (*Response, error) {
	if err := checkRequest(to, r); err != nil {
		return nil, err
	}
	op := opName(to, r.Method)
	if ctx.Err() != nil {
		return nil, expired(ctx, op)
	}
	host := p.served()
	if host == nil {
		return nil, cluster.Errorf(cluster.KindUnavailable, op, "this node does not serve yet, or not any more")
	}
	sent := &parcel{stamp: host.Stamp(), method: r.Method, payload: bytes.Clone(r.Payload), large: r.Large}
	var size int64
	if r.Body != nil {
		size = r.Body.Size()
		sent.hasBody, sent.body = true, make([]byte, size)
		if n, err := r.Body.ReadAt(sent.body, 0); int64(n) < size {
			return nil, cluster.Errorf(cluster.KindInternal, op, "%w", bodyErr(int64(n), size, err))
		}
	}
	bounded := ctx
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		bounded, cancel = context.WithTimeout(ctx, uploadTimeout(size))
		defer cancel()
	}
	answer, err := p.exchange(bounded, to, sent)
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return nil, &cluster.Error{Kind: cluster.KindUnavailable, Op: op, Err: context.Canceled}
	case err != nil:
		return nil, unreachable(op, err)
	}
	host.Observe(answer.stamp)
	if answer.failure != nil {
		return nil, answered(op, answer.failure, answer.stamp)
	}
	response := answer.response
	response.From = answer.from
	return &response, nil
}

// exchange carries a request to its receiver and the answer back.
func (p *SwitchPort) exchange(ctx context.Context, to cluster.Endpoint, sent *parcel) (*reply, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	target, ok := p.net.find(to.Addr)
	if !ok {
		return nil, fmt.Errorf("dial %s: %w", to.Addr, errRefused)
	}
	if to.ID != cluster.NoNode && target.id != to.ID {
		return nil, fmt.Errorf("peer at %s is node %s, want node %s", to.Addr, target.id, to.ID)
	}
	way := p.net.toss(p.id, target.id)
	if way.lost {
		return nil, silence(ctx)
	}
	answers := make(chan *reply, 1) // the first execution's; never blocks it
	if !target.deliver(ctx, way.delay, p.id, sent, answers) {
		return nil, fmt.Errorf("dial %s: %w", to.Addr, errRefused)
	}
	if way.again {
		// Its answer goes nowhere, its caller may be gone, and so may the port by now.
		_ = target.deliver(context.WithoutCancel(ctx), way.againDelay, p.id, sent, make(chan *reply, 1))
	}
	var answer *reply
	select {
	case answer = <-answers:
	case <-ctx.Done():
		return nil, timeout(ctx)
	}
	if ctx.Err() != nil {
		return nil, timeout(ctx)
	}
	if answer == nil {
		return nil, fmt.Errorf("connection to %s: reset by peer", to.Addr)
	}
	back := p.net.toss(target.id, p.id)
	if back.lost {
		return nil, silence(ctx)
	}
	if !pause(ctx, back.delay) {
		return nil, timeout(ctx)
	}
	return answer, nil
}

// silence waits for what will not come.
func silence(ctx context.Context) error {
	<-ctx.Done()
	return timeout(ctx)
}

func timeout(ctx context.Context) error { return fmt.Errorf("no answer in time: %w", ctx.Err()) }

// pause waits; false if the context ended before.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// deliver has a request executed here after a delay; false if the port does not serve. A nil answer
// says that the port closed under way.
func (p *SwitchPort) deliver(ctx context.Context, delay time.Duration, from cluster.NodeID, sent *parcel, answers chan<- *reply) bool {
	if !p.begin() {
		return false
	}
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(p.life, cancel)
	go func() { // counted by begin; ends with its request or with the port's life
		defer p.running.Done()
		defer cancel()
		defer stop()
		if !pause(ctx, delay) {
			answers <- nil
			return
		}
		answers <- p.execute(ctx, from, sent)
	}()
	return true
}

// execute does what a receiver does with a request.
func (p *SwitchPort) execute(ctx context.Context, from cluster.NodeID, sent *parcel) *reply {
	host := p.served()
	if host == nil {
		return nil
	}
	response, err := p.handle(ctx, host, from, sent)
	answer := &reply{from: p.id, stamp: host.Stamp()}
	if err != nil {
		answer.failure = failureOf(err)
		return answer
	}
	answer.response = response
	return answer
}

func (p *SwitchPort) handle(ctx context.Context, host Host, from cluster.NodeID, sent *parcel) (Response, error) {
	if sent.stamp.From != from {
		return Response{}, cluster.Errorf(cluster.KindDenied, "speak with node "+from.String(), "it speaks in the name of node %s", sent.stamp.From)
	}
	if err := host.Admit(ctx, sent.stamp, sent.method); err != nil {
		return Response{}, err
	}
	in := &Incoming{Method: sent.method, Payload: sent.payload, BodySize: int64(len(sent.body))}
	if sent.hasBody {
		in.Body = bytes.NewReader(sent.body)
	}
	response, err := host.Handle(ctx, from, in)
	if err != nil {
		closeBody(response)
		return Response{}, err
	}
	if response == nil {
		return Response{}, nil
	}
	if err := checkResponse(sent.method, response, sent.large); err != nil {
		closeBody(response)
		return Response{}, err
	}
	return receive(response)
}

// receive makes the response of a handler the one of a caller. A small body that breaks off is the
// error of the call, a large one breaks off where it is read: as with Port.
func receive(r *Response) (Response, error) {
	out := Response{Payload: bytes.Clone(r.Payload), BodySize: r.BodySize}
	if r.Body == nil {
		out.BodySize = 0
		return out, nil
	}
	data := make([]byte, r.BodySize)
	n, err := io.ReadFull(r.Body, data)
	if err != nil {
		err = bodyErr(int64(n), r.BodySize, err)
	}
	if closeErr := r.Body.Close(); err == nil {
		err = closeErr
	}
	if err != nil && r.BodySize <= InlineBodyMax {
		return Response{}, err
	}
	out.Body = &heldBody{Reader: bytes.NewReader(data[:n]), err: err}
	return out, nil
}

// heldBody is a body in memory, and how it ends.
type heldBody struct {
	*bytes.Reader
	err error // nil: whole
}

func (b *heldBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if errors.Is(err, io.EOF) && b.err != nil {
		return n, unreachable("read body", b.err)
	}
	return n, err
}

// WriteTo writes what is left.
func (b *heldBody) WriteTo(w io.Writer) (int64, error) {
	n, err := b.Reader.WriteTo(w)
	if err == nil && b.err != nil {
		err = unreachable("read body", b.err)
	}
	return n, err
}

func (b *heldBody) Close() error {
	b.Reader.Reset(nil)
	return nil
}
