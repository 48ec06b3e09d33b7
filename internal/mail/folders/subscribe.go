package folders

import "porcupine/internal/cluster"

// Subscribe sets or takes away a subscription; the folder need not exist (RFC 9051 §6.3.7). KindInvalid: no such name
// can be; KindLimit: too many.
func (t *Tree) Subscribe(name string, on bool, at cluster.Timestamp) (*Tree, error) {
	name, err := Canonical(name)
	if err != nil {
		return nil, err
	}
	if t.view.isSubscribed(name) == on {
		return t, nil
	}
	var value []byte
	if on {
		value = yes()
		count := 0
		for _, on := range t.view.subscribed {
			if on {
				count++
			}
		}
		if count >= SubscriptionsMax {
			return nil, cluster.Errorf(cluster.KindLimit, opName(name), "at most %d subscriptions are allowed: take some away", SubscriptionsMax)
		}
	}
	d := t.draft(at)
	d.set(string(kindSubscribed)+name, value)
	if !on { // that it is gone must be written, however full the tree is
		return newTree(d.registers).trim(at), nil
	}
	return d.finish(opName(name), t)
}
