// Package plot draws the charts of the evaluation as SVG: lines over a linear or logarithmic axis, and
// grouped bars. It is pure: a chart is a value, and the same value gives the same octets, so that a
// drawing can be kept in the repository and a change of it can be read.
//
// What is compared is made to be seen. A quantity has one colour and one marker, whoever measured it;
// how the curve is drawn says whose it is: solid is what was measured here, dashed is what the papers
// published, dotted is what was computed on a model. Colours are those of Okabe and Ito, which people
// with any of the common forms of colour blindness can tell apart; markers and dashes say the same
// again for those who print in grey. Scales of bars, and of the y axis of lines, begin at zero unless
// they are logarithmic: a difference is never made larger than it is.
//
// The caller gives numbers, names and units; ranges, ticks, legend and places follow from them. A chart
// that cannot be drawn (nothing to draw, a number that is none, more than the limits allow) is an
// error, never an empty picture.
package plot
