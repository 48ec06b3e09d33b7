package backend

import "context"

// progressKey is under what a context has who is told of progress.
type progressKey struct{}

// WithProgress gives a context for a call that may take long because it does many things. on is called after each of
// them, from any goroutine, and must not block: so the caller can tell a call that gets on, for as long as it takes, from one that
// stands still.
func WithProgress(ctx context.Context, on func()) context.Context {
	return context.WithValue(ctx, progressKey{}, on)
}

// Progress says that the call with this context has got on. Who carries it out calls this.
func Progress(ctx context.Context) {
	if on, ok := ctx.Value(progressKey{}).(func()); ok {
		on()
	}
}
