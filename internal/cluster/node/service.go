package node

import (
	"context"
	"errors"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/transport"
	"porcupine/internal/cluster/wire/call"
)

// ServiceFunc serves one method of a service. from is the calling node, this one included. The
// payload is valid until the function returns; the answer passes to the caller. An error crosses
// with its kind; after KindUnavailable the caller may ask again, KindStale and KindBehind are the
// node's own words and not for services.
type ServiceFunc = func(ctx context.Context, from cluster.NodeID, payload []byte) ([]byte, error)

// services are the methods registered; written before Start only.
type services struct {
	methods map[string]ServiceFunc
	wrong   error // the registrations that were refused
}

// Serve registers a method of a service, before Start. A method that is there already is refused,
// and so are an empty name, a longer one than can be called, and more than ServicesMax: Start gives
// the error.
func (n *Node) Serve(method string, f ServiceFunc) {
	s := &n.services
	var err error
	switch _, taken := s.methods[method]; {
	case n.begun.Load():
		n.log.Error("a service registered after the start; nobody will reach it", "method", method)
		return
	case taken:
		err = cluster.Errorf(cluster.KindExists, "serve "+method, "two services want the method")
	case method == "" || len(method) > call.ServiceMethodMax || f == nil:
		err = cluster.Errorf(cluster.KindInvalid, "serve "+method, "want a name of 1 to %d bytes, and a function", call.ServiceMethodMax)
	case len(s.methods) >= ServicesMax:
		err = cluster.Errorf(cluster.KindLimit, "serve "+method, "there are %d methods already", ServicesMax)
	}
	if err != nil {
		s.wrong = errors.Join(s.wrong, err)
		return
	}
	if s.methods == nil {
		s.methods = make(map[string]ServiceFunc)
	}
	s.methods[method] = f
}

// check gives what was wrong with the registrations.
func (s *services) check() error { return s.wrong }

// Ask calls a service's method at the owner's manager, this node included. The method must be
// idempotent: when an answer is lost, or the manager changes, it is called again, perhaps while the
// first call still runs, perhaps at another node. The answer is the caller's own. Errors: the
// method's own, KindLimit for a payload above call.ServiceSizeMax, KindUnavailable when no manager
// answered before the context ended.
func (n *Node) Ask(ctx context.Context, owner, method string, payload []byte) ([]byte, error) {
	if owner == "" {
		return nil, cluster.Errorf(cluster.KindInvalid, method, "a call to nobody's manager")
	}
	if len(payload) > call.ServiceSizeMax {
		return nil, cluster.Errorf(cluster.KindLimit, method, "payload of %d bytes, at most %d allowed", len(payload), call.ServiceSizeMax)
	}
	var answer []byte
	err := n.route(ctx, method, owner, func(ctx context.Context, to cluster.Member) (err error) {
		if to.ID == n.cfg.Self.ID {
			answer, err = n.service(ctx, n.cfg.Self.ID, owner, method, payload)
			return err
		}
		req := &call.ServiceRequest{Owner: owner, Method: method, Payload: payload}
		resp, err := n.call(ctx, to, &transport.Request{Method: call.MethodService, Payload: req.Marshal()})
		if err != nil {
			return err
		}
		answer = resp.Payload
		return nil
	})
	return answer, err
}

// Tell calls a service's method at one node, this one included, which need not be the manager of
// anything. It is otherwise as Ask, but for one thing: KindUnavailable at once when the node is not
// a member, or gives no answer.
func (n *Node) Tell(ctx context.Context, to cluster.NodeID, method string, payload []byte) ([]byte, error) {
	if len(payload) > call.ServiceSizeMax {
		return nil, cluster.Errorf(cluster.KindLimit, method, "payload of %d bytes, at most %d allowed", len(payload), call.ServiceSizeMax)
	}
	if to == n.cfg.Self.ID {
		return n.service(ctx, to, "", method, payload)
	}
	var answer []byte
	err := n.to(ctx, method, to, func(ctx context.Context, to cluster.Member) error {
		req := &call.ServiceRequest{Method: method, Payload: payload}
		resp, err := n.call(ctx, to, &transport.Request{Method: call.MethodService, Payload: req.Marshal()})
		if err != nil {
			return err
		}
		answer = resp.Payload
		return nil
	})
	return answer, err
}

// service runs a method at the owner's manager: this node, or the caller has another view. Without
// an owner it was this very node that was meant.
func (n *Node) service(ctx context.Context, from cluster.NodeID, owner, method string, payload []byte) ([]byte, error) {
	if err := n.takesPart(method, cluster.KindUnavailable); err != nil {
		return nil, err
	}
	if owner != "" && n.View().Manager(n.cfg.Cluster.BucketOf(owner)) != n.cfg.Self.ID {
		return nil, cluster.Errorf(cluster.KindStale, method, "this node does not manage the owner")
	}
	f, ok := n.services.methods[method]
	if !ok {
		// While the nodes are being upgraded the next one may have it: nothing is final.
		return nil, cluster.Errorf(cluster.KindUnavailable, method, "no such method: is this node of an older version?")
	}
	return f(ctx, from, payload)
}

func (n *Node) handleService(ctx context.Context, from cluster.NodeID, r *transport.Incoming) (*transport.Response, error) {
	var req call.ServiceRequest
	if err := req.Unmarshal(r.Payload); err != nil {
		return nil, err
	}
	answer, err := n.service(ctx, from, req.Owner, req.Method, req.Payload)
	if err != nil {
		return nil, err
	}
	return &transport.Response{Payload: answer}, nil
}
