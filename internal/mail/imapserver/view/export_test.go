package view

// Noted is the number of own changes that are kept.
func (v *View) Noted() int { return len(v.own) }
