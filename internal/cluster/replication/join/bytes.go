package join

import (
	"strings"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/octets"
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

// parser reads values as they are written.
type parser struct{ octets.Reader }

func parse(op string, b []byte, kind byte) *parser {
	p := &parser{octets.New(op, b)}
	p.Limit(SizeMax)
	if k, version := p.U8(), p.U8(); p.Err() == nil && (k != kind || version != 1) {
		p.Fail("kind %q, version %d: this program reads %q, version 1", k, version, kind)
	}
	return p
}

func (p *parser) name() string {
	n := int(p.U8())
	if n == 0 {
		p.Fail("a name is empty")
	}
	return string(p.Take(n))
}

// count reads how many elements follow, each of least bytes or more.
func (p *parser) count(least int) int {
	n := int64(p.U32())
	if n*int64(least) > int64(p.Left()) {
		p.Fail("%d elements in %d octets", n, p.Left())
		return 0
	}
	return int(n)
}
