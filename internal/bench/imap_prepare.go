package bench

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"porcupine/internal/bench/client"
)

// prepare makes the folders, and fills them as far as messages are missing.
func (r *imapRun) prepare(ctx context.Context) error {
	count, filled := r.cfg.folders()
	for i := range count {
		began := time.Now()
		c, err := r.login(ctx, r.user(i))
		if err != nil {
			return err
		}
		f, err := c.Select(benchFolder)
		if i == 0 {
			r.report.First = ms(time.Since(began))
		}
		var refusal *client.Refusal
		if errors.As(err, &refusal) { // it is not there
			if err = c.Create(benchFolder); err == nil {
				f, err = c.Select(benchFolder)
			}
		}
		if err := errors.Join(err, c.Logout()); err != nil {
			return err
		}
		if !filled {
			continue
		}
		if err := r.fill(ctx, r.user(i), r.cfg.Messages-int(f.Exists)); err != nil {
			return err
		}
	}
	return nil
}

// fill stores messages in a user's folder.
func (r *imapRun) fill(ctx context.Context, user string, missing int) error {
	var left atomic.Int64
	left.Store(int64(missing))
	errs := make([]error, fillers)
	var work sync.WaitGroup
	for i := range errs {
		work.Go(func() {
			var c *client.IMAP
			for left.Load() > 0 && errs[i] == nil {
				n := min(fillBatch, left.Add(-fillBatch)+fillBatch)
				if n <= 0 {
					break
				}
				if c == nil {
					if c, errs[i] = r.login(ctx, user); errs[i] != nil {
						return
					}
				}
				errs[i] = c.Append(benchFolder, slices.Repeat([][]byte{r.message}, int(n))...)
			}
			if c != nil {
				errs[i] = errors.Join(errs[i], c.Logout())
			}
		})
	}
	work.Wait()
	return errors.Join(errs...)
}
