package search

import "bytes"

// shortMax is the length up to which bytes.Index looks for a pattern: it compares at most that much at each
// place, and mostly by the machine's widest instructions. Longer patterns could make that slow on purpose;
// for them no octet of the text is looked at more than twice (Knuth, Morris and Pratt 1977).
const shortMax = 32

// pattern is a folded text to look for.
type pattern struct {
	text []byte
	// border[i] is the length of the longest proper prefix of text[:i] that is also its end; nil if text is short.
	border []int32
}

func newPattern(text []byte) *pattern {
	p := &pattern{text: text}
	if len(text) <= shortMax {
		return p
	}
	p.border = make([]int32, len(text)+1)
	k := int32(0)
	for i := 1; i < len(text); i++ {
		for k > 0 && text[i] != text[k] {
			k = p.border[k]
		}
		if text[i] == text[k] {
			k++
		}
		p.border[i+1] = k
	}
	return p
}

// in reports whether the pattern is in a folded text, in time linear in it.
func (p *pattern) in(text []byte) bool {
	if p.border == nil {
		return bytes.Contains(text, p.text)
	}
	k, first := 0, p.text[0]
	for i := 0; i < len(text); i++ {
		if k == 0 {
			skip := bytes.IndexByte(text[i:], first)
			if skip < 0 {
				return false
			}
			i += skip
			k = 1
			continue
		}
		for k > 0 && text[i] != p.text[k] {
			k = int(p.border[k])
		}
		if text[i] == p.text[k] {
			k++
		}
		if k == len(p.text) {
			return true
		}
	}
	return false
}
