package join

import (
	"encoding/binary"
	"strings"

	"porcupine/internal/cluster"
)

// merge unites two lists that are ascending by name; both makes one of two elements of one name.
func merge[T any](a, b []T, name func(T) string, both func(a, b T) T) []T {
	if len(a)+len(b) == 0 {
		return nil
	}
	all := make([]T, 0, max(len(a), len(b)))
	for len(a) > 0 && len(b) > 0 {
		switch c := strings.Compare(name(a[0]), name(b[0])); {
		case c < 0:
			all, a = append(all, a[0]), a[1:]
		case c > 0:
			all, b = append(all, b[0]), b[1:]
		default:
			all, a, b = append(all, both(a[0], b[0])), a[1:], b[1:]
		}
	}
	return append(append(all, a...), b...)
}

// mergeBytes joins two values as bytes.
func mergeBytes[T any](a, b []byte, parse func([]byte) (T, error), join func(a, b T) []byte) ([]byte, error) {
	x, err := parse(a)
	if err != nil {
		return nil, err
	}
	y, err := parse(b)
	if err != nil {
		return nil, err
	}
	joined := join(x, y)
	if len(joined) > SizeMax {
		return nil, cluster.Errorf(cluster.KindLimit, "join contents", "%d bytes together, at most %d allowed", len(joined), SizeMax)
	}
	return joined, nil
}

func appendName(b []byte, name string) []byte { return append(append(b, byte(len(name))), name...) }

// parser goes through bytes; after the first fault it gives zeros.
type parser struct {
	op   string
	rest []byte
	err  error
}

func parse(op string, b []byte, kind byte) *parser {
	p := &parser{op: op, rest: b}
	if len(b) > SizeMax {
		p.err = cluster.Errorf(cluster.KindLimit, op, "%d bytes, at most %d allowed", len(b), SizeMax)
		return p
	}
	if k, version := p.u8(), p.u8(); p.err == nil && (k != kind || version != 1) {
		p.fail("kind %q, version %d: this program reads %q, version 1", k, version, kind)
	}
	return p
}

func (p *parser) fail(format string, args ...any) {
	if p.err == nil {
		p.err = cluster.Errorf(cluster.KindInvalid, p.op, format, args...)
	}
}

// take gives the next n bytes, not a copy; nil if there are not so many.
func (p *parser) take(n int) []byte {
	if len(p.rest) < n {
		p.fail("broken off: %d bytes left, %d wanted", len(p.rest), n)
	}
	if p.err != nil {
		return nil
	}
	b := p.rest[:n]
	p.rest = p.rest[n:]
	return b
}

func (p *parser) u8() byte {
	if b := p.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (p *parser) u16() uint16 {
	if b := p.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (p *parser) u64() uint64 {
	if b := p.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (p *parser) name() string {
	n := int(p.u8())
	if n == 0 {
		p.fail("a name is empty")
	}
	return string(p.take(n))
}

// count reads how many elements follow, each of least bytes or more.
func (p *parser) count(least int) int {
	b := p.take(4)
	if b == nil {
		return 0
	}
	n := int64(binary.BigEndian.Uint32(b))
	if n*int64(least) > int64(len(p.rest)) {
		p.fail("%d elements in %d bytes", n, len(p.rest))
		return 0
	}
	return int(n)
}

// end says what was wrong, bytes too many included.
func (p *parser) end() error {
	if len(p.rest) > 0 {
		p.fail("%d bytes too many", len(p.rest))
	}
	return p.err
}
