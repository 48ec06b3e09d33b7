package daemon

import (
	"context"

	"golang.org/x/sync/errgroup"
)

// inParallel runs f for each item, at most limit at a time; the first error ends it.
func inParallel[T any](ctx context.Context, items []T, limit int, f func(context.Context, T) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(limit)
	for _, item := range items {
		g.Go(func() error { return f(ctx, item) })
	}
	return g.Wait()
}
