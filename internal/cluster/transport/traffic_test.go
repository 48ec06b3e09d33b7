package transport

import (
	"bytes"
	"fmt"
	"testing"
)

func TestTrafficIsCounted(t *testing.T) {
	m := meter{methods: map[string]*Traffic{}}
	m.count(&Request{Method: "apply", Payload: make([]byte, 10), Body: bytes.NewReader(make([]byte, 100))}, &Response{Payload: make([]byte, 3)})
	m.count(&Request{Method: "apply", Payload: make([]byte, 10)}, nil) // it failed
	m.count(&Request{Method: "open", Large: true}, &Response{BodySize: 1000})
	p := &Port{meter: meter{methods: m.methods}}
	got := p.Traffic()
	if want := (Traffic{Calls: 2, Sent: 120, Received: 3}); got["apply"] != want {
		t.Errorf("apply: %+v, want %+v", got["apply"], want)
	}
	if want := (Traffic{Calls: 1, Received: 1000}); got["open"] != want {
		t.Errorf("open: %+v, want %+v", got["open"], want)
	}
	for i := range 2 * trafficMethodsMax {
		p.meter.count(&Request{Method: fmt.Sprint(i)}, nil)
	}
	if n := len(p.Traffic()); n > trafficMethodsMax+1 {
		t.Errorf("%d methods are counted, want at most %d", n, trafficMethodsMax+1)
	}
}
