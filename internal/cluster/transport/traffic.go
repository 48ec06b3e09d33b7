package transport

import "sync"

// Traffic counts the calls that this node has made, by method. The other end of each is the node
// that was called, so the sum over all nodes is what passed between them.
type Traffic struct {
	Calls    int64 // failed ones too
	Sent     int64 // bytes of payloads and bodies of requests; the frame around them is some 50 more
	Received int64 // likewise of answers
}

// trafficMethodsMax bounds the methods that are counted one by one; further ones are counted as
// trafficOther.
const (
	trafficMethodsMax = 64
	trafficOther      = "other"
)

// meter counts traffic.
type meter struct {
	mu      sync.Mutex
	methods map[string]*Traffic
}

// count takes in the end of a call; response is nil if it failed.
func (m *meter) count(r *Request, response *Response) {
	sent, received := int64(len(r.Payload)), int64(0)
	if r.Body != nil {
		sent += r.Body.Size()
	}
	if response != nil {
		received = int64(len(response.Payload)) + response.BodySize
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.methods[r.Method]
	if t == nil {
		name := r.Method
		if len(m.methods) >= trafficMethodsMax {
			name = trafficOther
		}
		if t = m.methods[name]; t == nil {
			t = new(Traffic)
			m.methods[name] = t
		}
	}
	t.Calls++
	t.Sent += sent
	t.Received += received
}

// Expired counts the calls that came here when their callers had given up already, and were not
// executed.
func (p *Port) Expired() int64 { return p.expired.Load() }

// Traffic gives the counts until now, by method.
func (p *Port) Traffic() map[string]Traffic {
	p.meter.mu.Lock()
	defer p.meter.mu.Unlock()
	all := make(map[string]Traffic, len(p.meter.methods))
	for name, t := range p.meter.methods {
		all[name] = *t
	}
	return all
}
