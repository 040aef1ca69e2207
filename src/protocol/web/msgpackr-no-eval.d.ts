/** The build of msgpackr without generated code ships no types of its own; they are those of the main entry. */
declare module 'msgpackr/index-no-eval' {
  export { Packr } from 'msgpackr';
}
