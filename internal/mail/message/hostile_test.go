package message

import (
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
)

// counter counts the octets that are read of a message, and how often.
type counter struct {
	r      io.ReaderAt
	octets int64
	calls  int
	next   int64
	back   int64 // octets that were read again
}

func (c *counter) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.r.ReadAt(p, off)
	c.octets += int64(n)
	c.calls++
	if off < c.next {
		c.back += min(c.next-off, int64(n))
	}
	c.next = max(c.next, off+int64(n))
	return n, err
}

// hostile are messages of about n octets that are made to be expensive.
func hostile(n int) map[string]string {
	rep := func(s string) string { return strings.Repeat(s, n/len(s)+1) }
	nested := func(boundary func(int) string, depth int) string {
		var b strings.Builder
		for i := range depth {
			fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=%q\r\n\r\n--%s\r\n", boundary(i), boundary(i))
		}
		return b.String()
	}
	x70 := strings.Repeat("x", 68)
	return map[string]string{
		"empty parts":                   mixed + rep("--b\r\n"),
		"empty parts with bare LF":      mixed + rep("--b\n\n"),
		"parts with headers":            mixed + rep("--b\r\nContent-Type: text/html; charset=x\r\n\r\nx\r\n"),
		"digest of messages":            "Content-Type: multipart/digest; boundary=b\r\n\r\n" + rep("--b\r\n\r\nSubject: x\r\nFrom: a@b\r\n\r\nx\r\n"),
		"nested, prefixes":              nested(func(i int) string { return strings.Repeat("a", i+1) }, 200) + rep("--a\r\n"),
		"nested, one boundary":          nested(func(int) string { return "b" }, n/70) + rep("--b\r\n"),
		"nested, long boundaries":       nested(func(i int) string { return x70 + fmt.Sprint(10+i%90) }, 100) + rep("--"+x70+"zz\r\n"),
		"nested messages":               rep(rfc822),
		"messages in multiparts":        rep(mixed + "--b\r\n" + rfc822),
		"hyphens":                       mixed + rep("--"),
		"hyphens on lines":              mixed + rep("--\n"),
		"almost boundaries":             mixed + rep("--b \tx\r\n"),
		"boundaries with blanks":        mixed + rep("--c"+strings.Repeat(" ", 900)+"\r\n"),
		"line feeds":                    rep("\n"),
		"carriage returns":              rep("\r"),
		"CR LF":                         "A: b" + rep("\r\n"),
		"NULs":                          rep("\x00"),
		"one header line":               "Subject: " + rep("x"),
		"one folded field":              "To: " + rep("a@b,\r\n "),
		"many fields":                   rep("To: a@b\r\n"),
		"many names":                    rep("X: y\r\n"),
		"colons":                        rep("::"),
		"continuations of nothing":      rep(" \r\n"),
		"addresses":                     "From: " + rep("a@b,"),
		"comments":                      "From: " + rep("("),
		"closed comments":               "From: " + rep("()"),
		"quotes":                        "From: " + rep("\"") + "\r\n\r\n",
		"quotes and backslashes":        "From: " + rep("\"\\\""),
		"angles":                        "From: " + rep("<@"),
		"brackets":                      "From: " + rep("[a@"),
		"groups":                        "From: " + rep("a:"),
		"empty groups":                  "From: " + rep("a:;"),
		"parameters":                    "Content-Type: a/b" + rep(";a=b"),
		"parameters without values":     "Content-Type: a/b" + rep(";a"),
		"parameters in quotes":          "Content-Type: a/b" + rep(";a=\""),
		"sections of a parameter":       "Content-Type: multipart/mixed" + rep("; boundary*0*=a; boundary*1*=b") + "\r\n\r\n",
		"references":                    "References: " + rep("<a@b>"),
		"open references":               "References: " + rep("<a@b"),
		"languages":                     "Content-Language: " + rep("a,"),
		"date":                          "Date: " + rep("1-"),
		"encoded words":                 "\r\n" + rep("=?a?q?x"),
		"tags":                          "Content-Type: text/html\r\n\r\n" + rep("<style></styl"),
		"comments in HTML":              "Content-Type: text/html\r\n\r\n" + rep("<!--"),
		"base64 of nothing":             "Content-Transfer-Encoding: base64\r\n\r\n" + rep("-"),
		"blanks in quoted-printable":    "Content-Transfer-Encoding: quoted-printable\r\n\r\n" + rep(" "),
		"soft ends in quoted-printable": "Content-Transfer-Encoding: quoted-printable\r\n\r\n" + rep("=\r\n"),
		"large envelopes in a digest": "Content-Type: multipart/digest; boundary=b\r\n\r\n" + rep("--b\r\n\r\nSubject: "+strings.Repeat("x", 500)+
			"\r\nTo: "+strings.Repeat("aaaaaaaaa@bbbbbbbbbbbb, ", 100)+"\r\n\r\nx\r\n"),
		"large parameters":    mixed + rep("--b\r\nContent-Type: foo/bar; name=\""+strings.Repeat("x", 300)+"\"\r\nContent-Transfer-Encoding: y\r\nContent-ID: "+strings.Repeat("z", 50)+"\r\n\r\n\r\n"),
		"unknown types":       mixed + rep("--b\r\nContent-Type: "+strings.Repeat("a", TokenMax)+"/"+strings.Repeat("b", TokenMax)+"\r\nContent-Transfer-Encoding: "+strings.Repeat("c", TokenMax)+"\r\n\r\n"),
		"unknown multiparts":  rep("Content-Type: multipart/" + strings.Repeat("b", TokenMax) + "; boundary=b\r\n\r\n--b\r\n"),
		"groups in envelopes": "Content-Type: multipart/digest; boundary=b\r\n\r\n" + rep("--b\r\n\r\nTo: "+strings.Repeat("g:;", 300)+"\r\n\r\nx\r\n"),
	}
}

// Attack 21 and 22: each octet is read once, the beginnings of a few texts twice; and what is done with them grows
// as their number does.
func TestAttack21_OnePass(t *testing.T) {
	const n = 300_000
	for name, raw := range hostile(n) {
		t.Run(name, func(t *testing.T) {
			c := &counter{r: strings.NewReader(raw)}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			x, err := Build(c, int64(len(raw)))
			runtime.ReadMemStats(&after)
			if err != nil {
				t.Fatal(err)
			}
			if got := after.TotalAlloc - before.TotalAlloc; got > 10<<20 {
				t.Errorf("Build took %d octets of memory in all, want at most 10 MiB", got)
			}
			check(t, raw, x)
			if want := int64(previewPartsMax * previewReadMax); c.octets-int64(len(raw)) > want || c.back > want {
				t.Errorf("%d octets of %d were read, %d again, want %d again at most", c.octets, len(raw), c.back, want)
			}
			if want := len(raw)/(windowSize-lineProbe) + 2 + previewPartsMax*(previewReadMax/decodeBuffer+2); c.calls > want {
				t.Errorf("%d reads, want at most %d", c.calls, want)
			}
		})
	}
}

// work tells what Build compares and takes apart.
func work(t *testing.T, raw string) int {
	t.Helper()
	b := &builder{window: newWindow(strings.NewReader(raw), int64(len(raw))), left: TextMax}
	b.index = &Index{Size: int64(len(raw)), Root: &Part{Envelope: &Envelope{}}}
	if err := b.run(); err != nil {
		t.Fatal(err)
	}
	return b.work
}

func TestAttack22_WorkIsLinear(t *testing.T) {
	const n = 100_000
	large := hostile(4 * n)
	for name, raw := range hostile(n) {
		one, four := work(t, raw), work(t, large[name])
		if limit := DepthMax * len(raw); one > limit {
			t.Errorf("%s: work %d for %d octets, want at most %d", name, one, len(raw), limit)
		}
		if four > 6*one+DepthMax*BoundaryMax {
			t.Errorf("%s: work grows from %d to %d when the message grows four times", name, one, four)
		}
	}
}

// Attack 22: parsers of fields allocate in proportion to what they read, however often they begin anew.
func TestAttack22_FieldsAllocateLittle(t *testing.T) {
	for name, raw := range hostile(FieldLengthMax) {
		if strings.Contains(raw[:min(len(raw), 40)], "multipart") {
			continue
		}
		allocs := testing.AllocsPerRun(1, func() {
			if _, err := Build(strings.NewReader(raw), int64(len(raw))); err != nil {
				t.Fatal(err)
			}
		})
		if limit := 20_000.0; allocs > limit {
			t.Errorf("%s: %v allocations, want at most %v", name, allocs, limit)
		}
	}
}

func TestLimits(t *testing.T) {
	count := func(x *Index) (n int) {
		for range x.Root.All() {
			n++
		}
		return n
	}
	t.Run("parts", func(t *testing.T) {
		raw := mixed + strings.Repeat("--b\r\n\r\nx\r\n", 2*PartsMax) + "--b--\r\nend"
		x := build(t, raw)
		if got := count(x); got != PartsMax {
			t.Fatalf("%d parts, want %d", got, PartsMax)
		}
		last := x.Root.Children[len(x.Root.Children)-1]
		if last.Type != "application" || last.Body.End != int64(len(raw)) || !strings.HasPrefix(raw[last.Body.Start:], "\r\nx\r\n--b") {
			t.Errorf("the last part is %s at %v, want an opaque one to the end", last.Type, last.Body)
		}
	})
	t.Run("depth", func(t *testing.T) {
		x := build(t, strings.Repeat(rfc822, 3*DepthMax))
		p, depth := x.Root, 1
		for len(p.Children) > 0 {
			p, depth = p.Children[0], depth+1
		}
		if depth != DepthMax+1 || p.Type != "application" || p.Subtype != "octet-stream" {
			t.Errorf("depth %d ends with %s/%s, want %d and an opaque part", depth, p.Type, p.Subtype, DepthMax+1)
		}
	})
	t.Run("addresses", func(t *testing.T) {
		x := build(t, "To: g: "+strings.Repeat("a@b,", 2*AddressesMax)+"\r\n\r\n")
		if to := x.Root.Envelope.To; len(to) != AddressesMax || !to[len(to)-1].IsGroupEnd() || !x.Cut {
			t.Errorf("%d addresses, cut %v, want %d with the group's end, and cut", len(to), x.Cut, AddressesMax)
		}
	})
	t.Run("fields", func(t *testing.T) {
		x := build(t, strings.Repeat("X: y\r\n", HeaderFieldsMax)+"Subject: a\r\n\r\nx")
		if x.Root.Envelope.Subject.Set || !x.Cut {
			t.Errorf("a field after %d others is read: %v, cut %v", HeaderFieldsMax, x.Root.Envelope.Subject, x.Cut)
		}
	})
	t.Run("header", func(t *testing.T) {
		head := "X: " + strings.Repeat("y", HeaderReadMax) + "\r\nSubject: a\r\n\r\n"
		x := build(t, head+"x")
		if x.Root.Envelope.Subject.Set || x.Root.Header.Len() != int64(len(head)) || !x.Cut {
			t.Errorf("header %v of %d octets, subject %v, cut %v", x.Root.Header, len(head), x.Root.Envelope.Subject, x.Cut)
		}
	})
	t.Run("field", func(t *testing.T) {
		x := build(t, "Subject: "+strings.Repeat("y", 2*FieldLengthMax)+"\r\nFrom: a@b\r\n\r\n")
		if x.Root.Envelope.Subject.Set || !x.Cut || len(x.Root.Envelope.From) != 1 {
			t.Errorf("subject of %d octets, cut %v, from %v; want none, cut, one", len(x.Root.Envelope.Subject.Text), x.Cut, x.Root.Envelope.From)
		}
	})
	t.Run("parameters", func(t *testing.T) {
		x := build(t, "Content-Type: a/b"+strings.Repeat("; a=b", 2*ParamsMax)+"\r\n\r\n")
		if got := len(x.Root.Params); got != ParamsMax {
			t.Errorf("%d parameters, want %d", got, ParamsMax)
		}
		x = build(t, "Content-Type: a/b; x="+strings.Repeat("y", 2*ParamLengthMax)+"\r\n\r\n")
		if got := len(x.Root.Params[0].Value); got != ParamLengthMax {
			t.Errorf("parameter of %d octets, want %d", got, ParamLengthMax)
		}
	})
	t.Run("references", func(t *testing.T) {
		var refs strings.Builder
		for i := range 2 * ReferencesMax {
			fmt.Fprintf(&refs, "<%d@x> ", i)
		}
		x := build(t, "References: "+refs.String()+"\r\n\r\n")
		if got := x.References; len(got) != ReferencesMax || got[0] != "0@x" || got[len(got)-1] != fmt.Sprintf("%d@x", 2*ReferencesMax-1) {
			t.Errorf("%d references, want the first and the last of %d", len(got), ReferencesMax)
		}
	})
	t.Run("what is needed most stays", func(t *testing.T) {
		raw := "Subject: s\r\nFrom: a@b\r\nTo: c@d\r\nMessage-ID: <e@f>\r\n" + hostile(300_000)["large envelopes in a digest"]
		x := build(t, raw)
		e := x.Root.Envelope
		if e.Subject.Text != "s" || len(e.From) != 1 || len(e.To) != 1 || x.ID != "e@f" || x.Cut {
			t.Errorf("envelope %+v, cut %v: want all of it", e, x.Cut)
		}
	})
	t.Run("a message to many", func(t *testing.T) {
		x := build(t, "To: "+strings.Repeat("\"Somebody Somewhere\" <somebody.somewhere@example.org>, ", 600)+"\r\n\r\nx")
		if got := len(x.Root.Envelope.To); got != 600 || x.Cut {
			t.Errorf("%d addresses of 600, cut %v", got, x.Cut)
		}
	})
}
