package transport

import (
	"context"
	"errors"
	"testing"
)

// Fault 38: a call that has waited for longer than its caller is not executed.
func TestExpiredCallIsNotExecuted(t *testing.T) {
	h := &quietHost{handle: func(*Incoming) (*Response, error) {
		t.Error("the call was executed")
		return nil, nil
	}}
	p := serve(t, newIdentity(t, 1), h)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err := p.execute(ctx, &frame{method: "apply", bodySize: noBody}, nil, false)
	if !errors.Is(err, context.Canceled) || !outOfTime(ctx, err) {
		t.Errorf("execute = %v, want the end of its context, which is no answer", err)
	}
	if n := p.Expired(); n != 1 {
		t.Errorf("%d calls expired, want 1", n)
	}
}
