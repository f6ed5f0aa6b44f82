/** Between looking and buying there is a moment in every shop: the buyer pays. Whatever takes longer makes a race surer. */
export function payment(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 25))
}
