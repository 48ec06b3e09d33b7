package message

import (
	"strconv"
	"strings"
)

// Param gives the parameter of the Content-Type with this name, in lower case, as UTF-8: decoded as
// RFC 2231 says (charset, continuations) if it is written that way.
func (p *Part) Param(name string) (string, bool) { return findParam(p.Params, name) }

// Filename gives the name that the part's disposition or, if it has none, its type proposes; "" if there is
// none. It is a text for people: it may have any characters but control characters, slashes among them.
func (p *Part) Filename() string {
	name, ok := findParam(p.Disposition.Params, "filename")
	if !ok {
		name, _ = findParam(p.Params, "name")
	}
	return DecodeHeader(name) // RFC 2047 §5 forbids it, many write it
}

// findParam finds and decodes a parameter. The forms of RFC 2231 come before the plain one, which stands
// beside them for programs that know nothing else (RFC 6266 §4.3).
func findParam(params []Param, name string) (string, bool) {
	plain, found := "", false
	sections := map[int]Param{}
	for _, p := range params {
		tail, ok := strings.CutPrefix(p.Name, name)
		switch {
		case !ok:
		case tail == "":
			if !found {
				plain, found = p.Value, true
			}
		case tail == "*":
			return decodeExtended([]Param{p}), true
		case tail[0] == '*':
			n, err := strconv.ParseUint(strings.TrimSuffix(tail[1:], "*"), 10, 16)
			if _, twice := sections[int(n)]; err == nil && !twice {
				sections[int(n)] = p
			}
		}
	}
	var run []Param
	for i := range len(sections) {
		p, ok := sections[i]
		if !ok {
			break
		}
		run = append(run, p)
	}
	if len(run) > 0 {
		return decodeExtended(run), true
	}
	return plain, found
}

// decodeExtended joins sections (RFC 2231 §4.1). The first one names the charset, if it is encoded.
func decodeExtended(sections []Param) string {
	charset := ""
	var octets []byte
	for i, p := range sections {
		value := p.Value
		if !strings.HasSuffix(p.Name, "*") {
			octets = append(octets, value...)
			continue
		}
		if parts := strings.SplitN(value, "'", 3); i == 0 && len(parts) == 3 {
			charset, value = parts[0], parts[2]
		}
		octets = append(octets, unpercent(value)...)
	}
	return convert(octets, charset)
}

// unpercent decodes %XX; a percent sign that means nothing stays.
func unpercent(s string) []byte {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			hi, ok1 := hexValue(s[i+1])
			lo, ok2 := hexValue(s[i+2])
			if ok1 && ok2 {
				out = append(out, hi<<4|lo)
				i += 2
				continue
			}
		}
		out = append(out, s[i])
	}
	return out
}
