// Package talk is what the sessions' nodes and the manager of a user say to each other about the user's
// mail: values and bytes, no I/O.
//
// A session's node asks the manager with a [Question] and gets an [Answer] ([Method]). The manager tells
// a node that watches a user of changes with a [Notice] ([MethodChanged]). Every question stands for itself: the
// manager keeps nothing of a session. What a session has shown to its client it brings along
// ([Mark]), so a session goes on at another manager by asking it, and a manager that does not know of what
// was shown says so (KindUnavailable).
//
// # The formats
//
// Questions, answers and notices are a version octet, 1, and fields: a number and what the field
// holds, the numbers ascending, none twice. A field of zero value is left out, so that each value has
// one form. Readers refuse numbers that they do not know: a question that is understood in part
// only must not be answered. Integers are unsigned varints; texts, sets and lists begin with their length.
// Sets of UIDs are ranges: for each the distance from the one before, and how many more UIDs it has.
//
// The substrate may carry a question again when an answer is lost (node.Ask). Questions that change
// something have a [Question.Request], by which the manager knows a repetition. Where another manager has come meanwhile, the
// request gives away the folders that it made, and [Question.Folder] those that it deleted or renamed.
package talk
