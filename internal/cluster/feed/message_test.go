package feed

import (
	"reflect"
	"testing"

	"porcupine/internal/cluster"
)

func examples() (subscribeRequest, renewRequest, renewAnswer, changesRequest, changesAnswer) {
	object := cluster.Object{ID: cluster.ObjectID{Type: typeNote, Owner: owner, ID: "\x00\xff"}, Timestamp: cluster.Timestamp{Time: 5, Node: 6},
		Replicas: cluster.NewReplicaSet(1, 2), Attr: []byte("attr"), Size: 7, Sum: [32]byte{8}}
	second := object
	second.ID.ID, second.Deleted = "b", true
	return subscribeRequest{number: 1 << 63, owner: owner, types: []cluster.ObjectType{typeNote, typeCard}},
		renewRequest{numbers: []uint64{3, 1, 2}},
		renewAnswer{places: []place{{1, 2}, {}, {3, 0}}},
		changesRequest{parts: []part{
			{number: 1, place: place{2, 3}, changes: []cluster.Change{{Object: object, State: cluster.ChangeStored}, {Object: second, State: cluster.ChangeRemoved}}},
			{number: 4, place: place{5, 6}},
		}},
		changesAnswer{unknown: []uint64{9, 8}}
}

func TestMessages(t *testing.T) {
	subscribe, renew, renewed, changes, answer := examples()
	for name, c := range map[string]struct {
		bytes []byte
		want  any
		read  func(b []byte) (any, error)
	}{
		"subscribe":        {subscribe.marshal(), subscribe, func(b []byte) (any, error) { var v subscribeRequest; err := v.unmarshal(b); return v, err }},
		"place":            {place{1, 2}.marshal(), place{1, 2}, func(b []byte) (any, error) { var v place; err := v.unmarshal(b); return v, err }},
		"renew":            {renew.marshal(), renew, func(b []byte) (any, error) { var v renewRequest; err := v.unmarshal(b); return v, err }},
		"answer to renew":  {renewed.marshal(), renewed, func(b []byte) (any, error) { var v renewAnswer; err := v.unmarshal(b); return v, err }},
		"changes":          {changes.marshal(), changes, func(b []byte) (any, error) { var v changesRequest; err := v.unmarshal(b); return v, err }},
		"answer to change": {answer.marshal(), answer, func(b []byte) (any, error) { var v changesAnswer; err := v.unmarshal(b); return v, err }},
	} {
		got, err := c.read(c.bytes)
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: read %+v, %v, want %+v", name, got, err, c.want)
		}
		if _, err := c.read(c.bytes[:len(c.bytes)-1]); err == nil {
			t.Errorf("%s, cut: no error", name)
		}
	}
}

// FuzzMessages: whatever comes, no panic and nothing beyond the limits; what is read is written and read again to the same.
func FuzzMessages(f *testing.F) {
	subscribe, renew, renewed, changes, answer := examples()
	for _, b := range [][]byte{subscribe.marshal(), renew.marshal(), renewed.marshal(), changes.marshal(), answer.marshal()} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var q subscribeRequest
		if err := q.unmarshal(b); err == nil {
			var again subscribeRequest
			if err := again.unmarshal(q.marshal()); err != nil || !reflect.DeepEqual(again, q) || len(q.types) > TypesMax {
				t.Errorf("%+v became %+v, %v", q, again, err)
			}
		}
		var c changesRequest
		if err := c.unmarshal(b); err == nil {
			var again changesRequest
			if err := again.unmarshal(c.marshal()); err != nil || !reflect.DeepEqual(again, c) || len(c.parts) > partsMax {
				t.Errorf("%+v became %+v, %v", c, again, err)
			}
		}
		var r renewRequest
		if err := r.unmarshal(b); err == nil && len(r.numbers) > RenewMax {
			t.Errorf("%d numbers", len(r.numbers))
		}
		var a renewAnswer
		if err := a.unmarshal(b); err == nil && len(a.places) > RenewMax {
			t.Errorf("%d places", len(a.places))
		}
	})
}
