package message

import (
	"bytes"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

// build builds, and checks what holds for every message.
func build(t testing.TB, raw string) *Index {
	t.Helper()
	x, err := Build(strings.NewReader(raw), int64(len(raw)))
	if err != nil {
		t.Fatalf("Build(%.200q): %v", raw, err)
	}
	check(t, raw, x)
	return x
}

// check holds an index against what Part and Append promise.
func check(t testing.TB, raw string, x *Index) {
	t.Helper()
	if x.Size != int64(len(raw)) || x.Root.Header.Start != 0 || x.Root.Body.End != x.Size {
		t.Fatalf("size %d, root %v %v, want all %d octets of %.200q", x.Size, x.Root.Header, x.Root.Body, len(raw), raw)
	}
	n := 0
	checkPart(t, raw, x.Root, Range{0, x.Size}, 1, &n)
	if n > PartsMax {
		t.Fatalf("%d parts, want at most %d", n, PartsMax)
	}
	octets := x.Append(nil)
	if len(octets) > SizeMax {
		t.Fatalf("index of %d octets, want at most %d", len(octets), SizeMax)
	}
	y, err := Parse(octets)
	if err != nil {
		t.Fatalf("Parse(Append) of %.200q: %v", raw, err)
	}
	if !reflect.DeepEqual(x, y) { // cmp.Diff takes years for what lies deep
		t.Fatalf("Parse(Append) of %.200q is\n%.2000s, want\n%.2000s", raw, fmt.Sprintf("%+v %+v", y, y.Root), fmt.Sprintf("%+v %+v", x, x.Root))
	}
	if again := y.Append(nil); !bytes.Equal(again, octets) {
		t.Fatalf("Append(Parse) of %.200q differs", raw)
	}
}

func checkPart(t testing.TB, raw string, p *Part, in Range, depth int, n *int) {
	t.Helper()
	*n++
	switch {
	case p.Header.Start < in.Start || p.Header.End < p.Header.Start || p.Body.Start != p.Header.End || p.Body.End < p.Body.Start || p.Body.End > in.End:
		t.Fatalf("part %v %v is not within %v", p.Header, p.Body, in)
	case p.Type == "" || p.Subtype == "" || p.Encoding == "":
		t.Fatalf("part without type or encoding: %+v", p)
	case depth > DepthMax+1:
		t.Fatalf("depth %d, want at most %d", depth, DepthMax+1)
	case p.IsMultipart() != (len(p.Children) > 0 && !p.IsMessage()):
		t.Fatalf("%s/%s with %d children", p.Type, p.Subtype, len(p.Children))
	case p.IsMessage() && (len(p.Children) != 1 || p.Children[0].Envelope == nil):
		t.Fatalf("message part with %d children", len(p.Children))
	case depth > 1 && p.Envelope != nil != (in.Start == p.Header.Start && in.End == p.Body.End && p.Envelope != nil):
		t.Fatalf("message at %v is not all of its part %v", p.Header, in)
	case p.Lines != int64(strings.Count(raw[p.Body.Start:p.Body.End], "\n")):
		t.Fatalf("part %v has %d lines, want the line feeds of %.100q", p.Body, p.Lines, raw[p.Body.Start:p.Body.End])
	}
	from := p.Body.Start
	for _, c := range p.Children {
		checkPart(t, raw, c, Range{from, p.Body.End}, depth+1, n)
		from = c.Body.End
	}
}

// shape writes the types of a part and its children.
func shape(p *Part) string {
	s := p.Type + "/" + p.Subtype
	if len(p.Children) == 0 {
		return s
	}
	var in []string
	for _, c := range p.Children {
		in = append(in, shape(c))
	}
	return s + "(" + strings.Join(in, " ") + ")"
}

// section reads "1.2.HEADER".
func section(x *Index, spec string) (Range, bool) {
	var path []int
	what := Whole
	for _, word := range strings.Split(spec, ".") {
		switch word {
		case "":
		case "HEADER":
			what = Header
		case "TEXT":
			what = Text
		case "MIME":
			what = MIME
		default:
			n, err := strconv.Atoi(word)
			if err != nil {
				panic(err)
			}
			path = append(path, n)
		}
	}
	return x.Section(path, what)
}

func TestBuild(t *testing.T) {
	all := samples()
	if len(all) < 60 {
		t.Errorf("%d samples, want at least 60", len(all))
	}
	for _, tt := range all {
		t.Run(tt.name, func(t *testing.T) {
			x := build(t, tt.raw)
			if got := shape(x.Root); got != tt.shape {
				t.Errorf("shape of %q = %s, want %s", tt.raw, got, tt.shape)
			}
			for spec, want := range tt.want {
				got := "-"
				if r, ok := section(x, spec); ok {
					got = tt.raw[r.Start:r.End]
				}
				if got != want {
					t.Errorf("BODY[%s] of %q = %q, want %q", spec, tt.raw, got, want)
				}
			}
		})
	}
}

// With bare line feeds all sections are the same, but for the line ends.
func TestBuildBareLineFeeds(t *testing.T) {
	for _, tt := range samples() {
		if strings.Contains(strings.ReplaceAll(tt.raw, "\r\n", ""), "\r") {
			continue
		}
		raw := strings.ReplaceAll(tt.raw, "\r\n", "\n")
		x := build(t, raw)
		if got := shape(x.Root); got != tt.shape {
			t.Errorf("%s: shape = %s, want %s", tt.name, got, tt.shape)
		}
		for spec, want := range tt.want {
			got := "-"
			if r, ok := section(x, spec); ok {
				got = raw[r.Start:r.End]
			}
			if want = strings.ReplaceAll(want, "\r\n", "\n"); got != want {
				t.Errorf("%s: BODY[%s] = %q, want %q", tt.name, spec, got, want)
			}
		}
	}
}

// A window that ends anywhere in a line changes nothing.
func TestBuildWindows(t *testing.T) {
	for _, shift := range []int{windowSize - 3000, windowSize - 64, windowSize - 7} {
		head := "Received: " + strings.Repeat(strings.Repeat("x", 61)+"\r\n ", shift/64-1)
		head += strings.Repeat("y", shift-len(head)) + "\r\n"
		for _, tt := range samples() {
			if tt.raw == "" || strings.IndexByte(" \r\n", tt.raw[0]) >= 0 {
				continue // the header would go on, or end, otherwise
			}
			x, y := build(t, tt.raw), build(t, head+tt.raw)
			move(x.Root, int64(len(head)))
			x.Root.Header.Start = 0
			x.Size = y.Size
			if y.Root.Header.Len() > fieldsReadMax {
				x.Fields = NString{}
			}
			if !reflect.DeepEqual(x, y) {
				t.Fatalf("%s, %d octets later: %+v %+v, want %+v %+v", tt.name, len(head), y, y.Root, x, x.Root)
			}
		}
	}
}

func move(p *Part, by int64) {
	p.Header = Range{p.Header.Start + by, p.Header.End + by}
	p.Body = Range{p.Body.Start + by, p.Body.End + by}
	for _, c := range p.Children {
		move(c, by)
	}
}

func Example() {
	const raw = "Subject: a\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhello\r\n--b--\r\n"
	x, err := Build(strings.NewReader(raw), int64(len(raw)))
	if err != nil {
		fmt.Println(err)
		return
	}
	r, ok := x.Section([]int{1}, Whole)
	fmt.Println(x.Root.Envelope.Subject.Text, ok, raw[r.Start:r.End])
	// Output: a true hello
}
