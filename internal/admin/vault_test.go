package admin

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"porcupine/internal/cluster"
)

func TestVault(t *testing.T) {
	d := open(t)
	ctx := t.Context()
	since := time.Unix(900, 7).UTC()
	list, err := d.client.ListDeleted(ctx, "ann@x.example", since)
	if err != nil || len(list.Messages) != 1 || list.Messages[0].ID != "of ann@x.example" || !list.Messages[0].Deleted.Equal(time.Unix(1000, 5)) ||
		!slices.Equal(list.Messages[0].Nodes, []cluster.NodeID{42}) || !slices.Equal(list.Silent, []cluster.NodeID{43}) {
		t.Errorf("ListDeleted = %+v, %v", list, err)
	}
	if !d.vault.since.Equal(since) {
		t.Errorf("the node was asked since %v, want %v", d.vault.since, since)
	}
	if _, err := d.client.ListDeleted(ctx, "ann@x.example", time.Time{}); err != nil || !d.vault.since.IsZero() {
		t.Errorf("ListDeleted of all since %v, %v", d.vault.since, err)
	}
	ids := make([]string, 2*RestoreMax+1)
	for i := range ids {
		ids[i] = fmt.Sprint(i)
	}
	results, err := d.client.Restore(ctx, "ann@x.example", ids)
	if err != nil || len(results) != len(ids) || results[1].Kind != cluster.KindExists || results[1].Error == "" || results[2].Error != "" {
		t.Errorf("Restore = %d results, %v", len(results), err)
	}
	if got := strings.Join(d.vault.asked, ", "); got != "ann@x.example 50, ann@x.example 50, ann@x.example 1" {
		t.Errorf("the node was asked %s", got)
	}
	var refused []Restored
	err = d.client.call(ctx, "POST", "/vault/restore", restoreRequest{"ann@x.example", ids}, &refused)
	if !cluster.IsKind(err, cluster.KindLimit) {
		t.Errorf("%d messages in one request = %v, want limit", len(ids), err)
	}
	if err := d.client.call(ctx, "GET", "/vault?address=ann&since=yesterday", nil, &list); !cluster.IsKind(err, cluster.KindInvalid) {
		t.Errorf("a time that is none = %v, want invalid", err)
	}
}

func TestShowUser(t *testing.T) {
	d := open(t)
	if err := d.client.AddUser(t.Context(), "ann@x.example", "x"); err != nil {
		t.Fatal(err)
	}
	copies := 3
	if err := d.client.EditUser(t.Context(), "ann@x.example", UserChange{Copies: &copies}); err != nil {
		t.Fatal(err)
	}
	if u, err := d.client.ShowUser(t.Context(), "ann@x.example"); err != nil || u.Address != "ann@x.example" || u.Copies != 3 {
		t.Errorf("ShowUser = %+v, %v", u, err)
	}
	if _, err := d.client.ShowUser(t.Context(), "bob@x.example"); !cluster.IsKind(err, cluster.KindNotFound) {
		t.Errorf("ShowUser of nobody = %v", err)
	}
}
