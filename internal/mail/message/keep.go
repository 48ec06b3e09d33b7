package message

import (
	"slices"
	"strings"
)

// What Build keeps of headers, in memory: texts take from TextMax; when that is used up, no more are kept.

// textCost is what a text costs beside its octets.
const textCost = 16

// shareMax is the length of a text up to which it may lie in the memory of its field: a few octets of a
// long field must not hold all of it.
const shareMax = 256

// take pays for a text of n octets, and reports whether it could.
func (b *builder) take(n int) bool {
	if n+textCost > b.left {
		b.lose(true)
		b.left = 0 // all that follows goes too: an index ends at one place
		return false
	}
	b.left -= n + textCost
	return true
}

// lose notes that something of the present header is not kept.
func (b *builder) lose(is bool) {
	if is && len(b.stack) == 1 {
		b.index.Cut = true
	}
}

// keepText gives s, or "" if it cannot be kept.
func (b *builder) keepText(s string) string {
	if s == "" || !b.take(len(s)) {
		return ""
	}
	return b.own(s)
}

// own gives s in memory of its own if its field is long.
func (b *builder) own(s string) string {
	if len(b.head.value) > shareMax {
		return strings.Clone(s)
	}
	return s
}

// keepOnce sets *to, unless that was done.
func (b *builder) keepOnce(to *NString, s string) {
	if !to.Set && b.take(len(s)) {
		*to = NString{Text: s, Set: true}
	}
}

// keepTexts gives the texts up to the first that cannot be kept.
func (b *builder) keepTexts(texts []string) []string {
	var kept []string
	for _, s := range texts {
		if s = b.keepText(s); s == "" {
			break
		}
		kept = append(kept, s)
	}
	return kept
}

// keepParams gives the parameters up to the first that cannot be kept.
func (b *builder) keepParams(params []Param) []Param {
	for i, p := range params {
		name := b.keepText(p.Name)
		if name == "" || !b.take(len(p.Value)) {
			return firsts(params, i)
		}
		params[i] = Param{Name: name, Value: b.own(p.Value)}
	}
	return params
}

// firsts gives the first n of a list. An empty list is nil: an index has one form.
func firsts[T any](list []T, n int) []T {
	if n == 0 {
		return nil
	}
	return list[:n:n]
}

// keepAddresses adds the addresses in a field's value to a list.
func (b *builder) keepAddresses(list *[]Address, text string) {
	if b.left == 0 { // reading what cannot be kept is work for nothing
		b.lose(true)
		return
	}
	room := AddressesMax - len(*list)
	found := parseAddresses(text, room)
	b.lose(len(found) >= room-1)
	for _, a := range found {
		if !b.take(len(a.Name.Text) + len(a.Route.Text) + len(a.Mailbox.Text) + len(a.Host.Text)) {
			*list = closeGroup(*list)
			return
		}
		*list = append(*list, a)
	}
}

// closeGroup adds the mark of a group's end to a list that was cut in a group.
func closeGroup(list []Address) []Address {
	for _, a := range slices.Backward(list) {
		if a.IsGroupEnd() {
			break
		}
		if a.IsGroupStart() {
			return append(list, Address{})
		}
	}
	return list
}
