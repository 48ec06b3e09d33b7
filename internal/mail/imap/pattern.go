package imap

import "strings"

// Pattern is a pattern of LIST: "*" stands for any octets, "%" for any but the delimiter (RFC 9051 §6.3.9). All
// its states are followed at once, as bits of words, so that no pattern takes long: the time is the length of the
// name times a 64th of that of the pattern.
type Pattern struct {
	words   int
	masks   [256]uint16 // index into octets of the row for an octet; 0: in no position
	octets  [][]uint64  // bit i: the octet stands at position i
	any     []uint64    // bit i: a wildcard stands at position i
	level   []uint64    // of them, those that are "%"
	final   int         // the position behind the last one
	literal string      // the pattern, if it has no wildcard
	plain   bool
}

// CompilePattern makes a Pattern of a canonical pattern: the reference of the LIST and the pattern, one after the
// other (see List.FullPatterns).
func CompilePattern(pattern string) *Pattern {
	if !strings.ContainsAny(pattern, "*%") {
		return &Pattern{plain: true, literal: pattern}
	}
	pattern = squeeze(pattern)
	p := &Pattern{words: len(pattern)/64 + 1, final: len(pattern)}
	p.any, p.level = make([]uint64, p.words), make([]uint64, p.words)
	p.octets = [][]uint64{make([]uint64, p.words)}
	for i := range len(pattern) {
		word, bit := i/64, uint64(1)<<(i%64)
		switch c := pattern[i]; c {
		case '*':
			p.any[word] |= bit
		case '%':
			p.any[word] |= bit
			p.level[word] |= bit
		default:
			if p.masks[c] == 0 {
				p.masks[c] = uint16(len(p.octets)) // at most 254 octets
				p.octets = append(p.octets, make([]uint64, p.words))
			}
			p.octets[p.masks[c]][word] |= bit
		}
	}
	return p
}

// squeeze makes one wildcard of those that stand side by side: what they match together is what the widest of
// them does.
func squeeze(pattern string) string {
	var b strings.Builder
	for i := 0; i < len(pattern); {
		if c := pattern[i]; c != '*' && c != '%' {
			b.WriteByte(c)
			i++
			continue
		}
		wild := byte('%')
		for ; i < len(pattern) && (pattern[i] == '*' || pattern[i] == '%'); i++ {
			if pattern[i] == '*' {
				wild = '*'
			}
		}
		b.WriteByte(wild)
	}
	return b.String()
}

// Match reports whether a name, in canonical form, matches.
func (p *Pattern) Match(name string) bool {
	if p.plain {
		return name == p.literal
	}
	// Bit i of states: the name so far matches the first i octets of the pattern.
	states := make([]uint64, p.words)
	states[0] = 1
	p.skip(states)
	for i := range len(name) {
		c := name[i]
		at := p.octets[p.masks[c]]
		carry, alive := uint64(0), uint64(0)
		for w, s := range states {
			stay := s & p.any[w]
			if c == Delimiter {
				stay &^= p.level[w]
			}
			moved := s & at[w]
			states[w] = stay | moved<<1 | carry
			carry = moved >> 63
			alive |= states[w]
		}
		if alive == 0 {
			return false
		}
		p.skip(states)
	}
	return states[p.final/64]&(1<<(p.final%64)) != 0
}

// skip lets wildcards match nothing. Behind a wildcard there is no other one.
func (p *Pattern) skip(states []uint64) {
	carry := uint64(0)
	for w, s := range states {
		wild := s & p.any[w]
		states[w] |= wild<<1 | carry
		carry = wild >> 63
	}
}

// FullPatterns gives the patterns with the reference in front, in canonical form. Of an extended LIST empty ones
// mean nothing (RFC 9051 §6.3.9).
func (l List) FullPatterns() []string {
	full := make([]string, 0, len(l.Patterns))
	for _, p := range l.Patterns {
		if p != "" || !l.Several {
			full = append(full, CanonicalName(l.Reference+p))
		}
	}
	return full
}
