// Package turnstile lets so many deliveries work at once as end in time, a few more wait, and sends
// the rest away early. So a node that is offered more than it can do goes on doing what it can.
//
// Without it the line in front of the disk grows until whoever reaches its head has waited for so
// long that its client has given up: all work is done for nobody, the clients come again, and the
// node stays like this when the cause is long gone (a metastable failure; fault 38). Three things
// prevent it:
//
//  1. The [Limit] on deliveries at once follows the time that they take. By Little's law, what is in
//     progress is rate times time: with a limit of rate times [TimeAimed], a delivery takes
//     TimeAimed, however slow the disk has become.
//  2. The line of those who wait is as short again, and nobody in it waits for longer than WaitMax.
//  3. Who is sent away is told so when it has cost least: a new connection when the line is half
//     full, a new message on an open one when it is three quarters full, and only when the line is
//     full a message that is here already.
//
// A caller asks [Turnstile.AdmitsConnection] and [Turnstile.AdmitsMessage] at the two early points,
// calls [Turnstile.Enter] before the work and leave after it, whatever became of it. Work for
// a client who is gone by the end of a wait is not to be done: Enter says whether it had to wait, so
// that the caller looks. What clients wait for and do not send anew has a line of its own,
// [Turnstile.EnterPatiently]: one user who copies much must not keep mail out. It is long and its waits end with the caller's
// context, since its work is done for somebody who is still there, and one refusal undoes all that a COPY of many has stored.
package turnstile
