package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"

	"porcupine/internal/cluster/identity"
	"porcupine/internal/cluster/node"
	"porcupine/internal/cluster/store"
	"porcupine/internal/cluster/transport"
	"porcupine/internal/config"
	"porcupine/internal/mail/delivery"
	"porcupine/internal/mail/directory"
	"porcupine/internal/mail/retrieval"
)

// Adjust changes what a node's parts are made with, beyond what a configuration file can say. Each function
// may be nil. It is for programs that run nodes within themselves: the evaluation.
type Adjust struct {
	Store    func(*store.Config)
	Node     func(*node.Config)
	Delivery func(*delivery.Config)
}

// change applies a function of an Adjust, if there is one.
func change[C any](f func(*C), c *C) {
	if f != nil {
		f(c)
	}
}

// Within is a node that runs within a program that sees its parts. It is wired as the one of Run is, and
// serves what its configuration says; what a program can do in place of a client, it does with
// the proxies.
type Within struct{ d *daemon }

// Start starts a node and returns when it serves. The caller ends it with Stop or Kill; ctx is for the start alone.
func Start(ctx context.Context, cfg config.Config, a Adjust, logs io.Writer) (*Within, error) {
	log, err := newLogger(cfg.Log, logs)
	if err != nil {
		return nil, err
	}
	d := newDaemon(cfg, log)
	d.adjust = a
	if err := d.open(ctx); err != nil {
		return nil, errors.Join(err, d.stop())
	}
	return &Within{d}, nil
}

// Node gives the node itself.
func (w *Within) Node() *node.Node { return w.d.node }

// Store gives its disk.
func (w *Within) Store() *store.Store { return w.d.store }

// Directory gives its part of the directory.
func (w *Within) Directory() *directory.Directory { return w.d.directory }

// Delivery gives its delivery proxy, Retrieval its retrieval proxy.
func (w *Within) Delivery() *delivery.Delivery { return w.d.delivery }

// Retrieval gives its retrieval proxy.
func (w *Within) Retrieval() *retrieval.Retrieval { return w.d.retrieval }

// Address gives the address of its cluster port.
func (w *Within) Address() string { return w.d.advertise }

// Traffic gives the calls that it has made to other nodes, by method.
func (w *Within) Traffic() map[string]transport.Traffic { return w.d.port.Traffic() }

// Token makes a token with which one other node can join.
func (w *Within) Token() (identity.Token, error) {
	return w.d.id.IssueToken([]string{w.d.advertise}, identity.TokenTTLMax)
}

// Failed is closed when the node cannot go on; Failure says why.
func (w *Within) Failed() <-chan struct{} { return w.d.failed }

// Failure says why the node cannot go on; nil while it can.
func (w *Within) Failure() error {
	if !w.d.hasFailed() {
		return nil
	}
	return w.d.failure
}

// Stop ends the node in order.
func (w *Within) Stop() error { return w.d.stop() }

// errKilled is why a node that was killed failed.
var errKilled = errors.New("it was killed")

// Kill ends the node as the death of its process would: its connections break, it tells nobody, and what it was
// doing is not finished. What its store had made durable stays.
func (w *Within) Kill() error {
	now, cancel := context.WithCancel(context.Background())
	cancel()
	err := w.d.port.Close(now) // BEFORE the node could say goodbye
	w.d.fatal(errKilled)
	_ = w.d.node.Stop(now) // it cannot leave in order, and says so
	if stopErr := w.d.stop(); stopErr != nil {
		err = errors.Join(err, fmt.Errorf("kill node: %w", stopErr))
	}
	return err
}
