// Package feed tells a node what changes at another: of each object of one owner, and of the types
// asked for, that is stored, changed or removed there, soon after the commit. So who keeps an index
// of an owner's objects in memory need not list them again and again.
//
// # What a subscriber does
//
// [Feed.Subscribe] at each node that holds something of the owner, and then, AFTER that, list what the node has:
// whatever is committed after Subscribe has returned is told, and what was committed before is in the
// listing. What is committed meanwhile may be in both. From then on take the events. An event with
// Gap says that changes were lost: list again. There is no other promise: a change may be told twice, and it
// is told by each node that holds a copy, of which one may be behind: of an object's versions the one with the newest
// timestamp counts.
//
// Changes are lost rather than waited for: a commit never waits for a subscriber. Lost are those that
// find no room in a queue, at the holder or at the subscriber; those in a batch that did not arrive;
// and those made while the holder had forgotten the subscription, because it was started again or
// nothing was heard of the subscriber for a lease. Changes are numbered, and the subscriber
// hears at each renewal which number has been reached; so it finds every loss, at the latest after
// RenewPeriod, and a change of view makes it ask at once. It subscribes again by itself, until
// Close. While the holder is away nothing is told; the view says so.
//
// # What a holder does
//
// The node tells the feed of each update that has been applied ([Feed.Changed]), AFTER the commit.
// When nobody subscribed to the owner that costs one look into a map ([Feed.Wants]). Else the change goes into the
// queue of the subscription, and a goroutine for each subscribing node, which lives while there is
// something to send, sends what has come within FlushDelay in one call.
//
// # Order of life
//
// New and the node's SetWatcher, BEFORE the node starts; Close BEFORE it stops.
package feed
