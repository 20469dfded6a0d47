declare const brand: unique symbol;

/**
 * A value that was checked or minted in one place and is told apart by its type afterwards.
 *
 * @example type ActionId = Brand<string, "ActionId">;
 */
export type Brand<T, Name extends string> = T & { readonly [brand]: Name };
