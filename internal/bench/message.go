package bench

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"

	"porcupine/internal/bench/ledger"
)

// markField is the header field that names a message of a run: "X-Bench-Message: RUN NUMBER". It
// comes first, so all that a service puts above it (Return-Path, Received) is known for its own,
// and all below must come back byte for byte.
const markField = "X-Bench-Message: "

// fillerSize is the length of the random text that bodies are cut from.
const fillerSize = 1 << 16

// newFiller makes whole lines of random text, fillerSize bytes or a little more.
func newFiller(rng *rand.Rand) []byte {
	filler := make([]byte, 0, fillerSize+128)
	for len(filler) < fillerSize {
		line := make([]byte, 20+rng.IntN(56))
		for i := range line {
			line[i] = byte(' ' + 1 + rng.IntN(94))
		}
		if rng.IntN(8) == 0 {
			line[0] = '.' // every eighth line needs dot-stuffing
		}
		filler = append(append(filler, line...), '\r', '\n')
	}
	return filler
}

// writer makes messages. One owner.
type writer struct {
	run    string // random, so that messages of other runs are foreign
	from   string
	filler []byte
	rng    *rand.Rand
	buf    []byte
}

// message makes a message of about size bytes; it is at least as long as its header fields and
// one line. The bytes are valid until the next call.
func (w *writer) message(n ledger.Number, to string, size int) []byte {
	b := fmt.Appendf(w.buf[:0], "%s%s %d\r\nFrom: <%s>\r\nTo: <%s>\r\nSubject: load %d\r\nMessage-ID: <%d.%s@bench.example>\r\n\r\n",
		markField, w.run, n, w.from, to, n, n, w.run)
	b = append(b, "message "...)
	b = strconv.AppendUint(b, uint64(n), 10)
	b = append(b, '\r', '\n')
	for rest := size - len(b); rest > 2; rest = size - len(b) {
		start := w.rng.IntN(len(w.filler))
		start += bytes.IndexByte(w.filler[start:], '\n') + 1
		piece := w.filler[start:min(start+rest-2, len(w.filler))]
		b = append(b, bytes.TrimSuffix(piece, []byte("\r"))...)
		if !bytes.HasSuffix(b, []byte("\r\n")) {
			b = append(b, '\r', '\n')
		}
	}
	w.buf = b
	return b
}

// recognise finds the mark of this run in the header of a message as fetched.
func recognise(run string, fetched []byte) (n ledger.Number, sum ledger.Sum, ok bool) {
	at := 0
	for !bytes.HasPrefix(fetched[at:], []byte(markField)) {
		end := bytes.IndexByte(fetched[at:], '\n')
		if end <= 1 { // no more lines, or the empty one that ends the header
			return 0, sum, false
		}
		at += end + 1
	}
	line, _, _ := bytes.Cut(fetched[at+len(markField):], []byte("\r\n"))
	theirs, number, _ := bytes.Cut(line, []byte(" "))
	v, err := strconv.ParseUint(string(number), 10, 32)
	if err != nil || string(theirs) != run {
		return 0, sum, false
	}
	return ledger.Number(v), sha256.Sum256(fetched[at:]), true
}

// sizes draws message sizes by a lognormal law with the mean, kept between MessageMin and the
// largest.
type sizes struct {
	mu, sigma float64
	largest   int
}

func newSizes(c Config) sizes {
	return sizes{
		mu:      math.Log(float64(c.SizeMean)) - c.SizeSigma*c.SizeSigma/2,
		sigma:   c.SizeSigma,
		largest: c.SizeMax,
	}
}

func (s sizes) draw(rng *rand.Rand) int {
	size := math.Exp(s.mu + s.sigma*rng.NormFloat64())
	return max(MessageMin, int(min(size, float64(s.largest))))
}
