package delivery

import "sync/atomic"

// The retries of deliveries that all have together. Nodes that fail are replaced at once, whoever
// they are, and a whole burst of them; but when everything is slow, trying everything up to AttemptsMax
// times would be most of the work, and would keep everything slow (fault 38).
const (
	// retryBurst is how many retries there may be at once: more deliveries than can be in progress, for
	// the seconds until a node that died is out of the view.
	retryBurst = 4096
	// retryEvery is how many deliveries earn one retry.
	retryEvery = 10
)

// budget is what is left for retries. Make it with newBudget.
type budget struct {
	left    atomic.Int64 // in shares of a retry: retryEvery are one
	refused atomic.Int64
}

func newBudget() *budget {
	b := new(budget)
	b.left.Store(retryBurst * retryEvery)
	return b
}

// earn takes note of a delivery.
func (b *budget) earn() {
	if n := b.left.Load(); n < retryBurst*retryEvery {
		b.left.Add(1) // races make it a few more or less, which is of no weight
	}
}

// spend takes a retry; false: there is none.
func (b *budget) spend() bool {
	if b.left.Add(-retryEvery) >= 0 {
		return true
	}
	b.left.Add(retryEvery)
	b.refused.Add(1)
	return false
}
